{{/* Whoever may read a ConfigMap or a pod reads the settings, flags and variables in it, and more people may
     than may read Secrets. */}}
{{- define "diskcsi.checkSecrets" -}}
{{- if contains "@" .Values.proxy -}}
{{- fail "proxy may hold a user and a password, and stands in the Deployment: give it as DISKCSI_PROXY by controller.envFrom, from a Secret" -}}
{{- end -}}
{{- $secrets := include "diskcsi.secrets" . | fromYaml -}}
{{- range $part := list "controller" "node" -}}
{{- include "diskcsi.refuseSecretFlags" (dict "where" (printf "%s.args" $part) "args" (get $.Values $part).args "secrets" $secrets) -}}
{{- range (get $.Values $part).env -}}
{{- if .value -}}
{{- include "diskcsi.refuseSecret" (dict "secrets" $secrets "kind" "variables" "what" (printf "%s.env: %s" $part (toString .name)) "name" (toString .name) "value" .value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := include "diskcsi.runningSidecars" . | fromJsonArray -}}
{{- include "diskcsi.refuseSecretFlags" (dict "where" (printf "sidecars.%s.args" $name) "args" (get $.Values.sidecars $name).args "secrets" dict) -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.refuseSecretFlags" -}}
{{- range .args -}}
{{- $flag := regexFind "^-+[A-Za-z0-9-]*" . -}}
{{- include "diskcsi.refuseSecret" (dict "secrets" $.secrets "kind" "flags" "what" (printf "%s: %s" $.where $flag) "name" $flag "value" (trimPrefix $flag . | trimPrefix "=")) -}}
{{- end -}}
{{- end -}}

{{/* What the provider and the driver declare secret: by kind, which is settings, flags or variables, and by
     name. `public` is there for a provider that the chart doesn't know. */}}
{{- define "diskcsi.secrets" -}}
{{- $declared := .Files.Get "files/secret-settings.yaml" | fromYaml -}}
{{- $settings := merge (dict) $declared.driver (get $declared.providers .Values.provider.name | default dict) -}}
{{- $secrets := dict "settings" $settings "flags" dict "variables" dict -}}
{{- range $one := $settings -}}
{{- $_ := set $secrets.flags $one.flag $one -}}
{{- range $one.variables -}}
{{- $_ := set $secrets.variables . $one -}}
{{- end -}}
{{- end -}}
{{- if not (hasKey $declared.providers .Values.provider.name) -}}
{{- $_ := set $secrets "public" .Values.provider.publicSettings -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end -}}

{{/* By its declaration; where there is none, by its name or what is in it. */}}
{{- define "diskcsi.refuseSecret" -}}
{{- $text := toString .value -}}
{{- $declared := get (get .secrets .kind | default dict) .name -}}
{{- $wayOut := "" -}}
{{- if $declared -}}
{{- $wayOut = contains ($declared.where | default "") $text | ternary $declared.instead "" -}}
{{- else if $text -}}
{{- $wayOut = include "diskcsi.wayOutByName" . -}}
{{- end -}}
{{- if $wayOut -}}
{{- $reader := eq .kind "settings" | ternary "settings stand in a ConfigMap" (printf "whoever may read a pod may read its %s" .kind) -}}
{{- fail (printf "%s may hold a secret, and %s: %s" .what $reader $wayOut) -}}
{{- end -}}
{{- if or (regexMatch "://[^/@]*:[^/@]*@" $text) (and (regexMatch "(?i)proxy" .name) (contains "@" $text)) -}}
{{- fail (printf "%s has a URL with a password, and more people may read it than Secrets: give it by envFrom, or by valueFrom, from a Secret" .what) -}}
{{- end -}}
{{- end -}}

{{/* Variables that many programs take a key from, whatever the provider is. Of a provider that the chart
     doesn't know a word of any name tells, unless it is a place; provider.publicSettings has the exceptions. */}}
{{- define "diskcsi.wayOutByName" -}}
{{- $name := .name | lower | replace "-" "_" | trimAll "_" -}}
{{- $tells := regexMatch "(^|_)(api_?key|access_?key|key|secret|pass|passwd|password|passphrase|token|cred|credential|credentials|auth|authorization|signature)(_|$)" $name -}}
{{- $place := regexMatch "_(file|dir|directory|path)$" $name -}}
{{- if and $tells (not $place) (kindIs "slice" .secrets.public) (not (has $name .secrets.public)) -}}
give it by controller.envFrom, from a Secret, as the variable that the provider's help names; or, if it holds none, list {{ $name }} in provider.publicSettings
{{- else if and (eq .kind "variables") (regexMatch "(^|_)(access_key(_id|_secret)?|(secret|api)_key|(security|session)_token|client_secret|password)$" $name) (not (has $name (.secrets.public | default list))) -}}
give it by envFrom, or by valueFrom, from a Secret
{{- end -}}
{{- end -}}
