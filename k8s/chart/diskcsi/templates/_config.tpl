{{/* Lines of TOML: every text, number, boolean and list of JSON is one of TOML as well. */}}
{{- define "diskcsi.toml" -}}
{{- $where := .where -}}
{{- range $name, $value := .settings }}
{{- if kindIs "map" $value }}
{{- fail (printf "%s.%s is a map: allowed are texts, numbers, booleans and lists" $where $name) }}
{{- end }}
{{- include "diskcsi.refuseSecret" (dict "name" $name "value" $value "where" $where "known" $.secret "public" $.public) }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Of a proxy's address only user and password are secret. Of a provider that the chart doesn't know, a
     word of the name tells; provider.publicSettings has the exceptions. */}}
{{- define "diskcsi.refuseSecret" -}}
{{- $wayOut := get .known .name -}}
{{- $tells := regexMatch "(^|_)(api_?key|access_?key|key|secret|pass|passwd|password|passphrase|token|cred|credential|credentials|auth|authorization|signature)(_|$)" .name -}}
{{- $place := regexMatch "_(file|dir|directory|path)$" .name -}}
{{- if and (not $wayOut) $tells (not $place) (kindIs "slice" .public) (not (has .name .public)) -}}
{{- $wayOut = "give it by controller.envFrom, from a Secret, as the variable that the provider's help names; or, if it holds none, list it in provider.publicSettings" -}}
{{- end -}}
{{- include "diskcsi.refuseUserInfo" (dict "where" (printf "%s.%s" .where .name) "text" (ternary "" (toString .value) (ne $wayOut ""))) -}}
{{- if and $wayOut (or (ne .name "proxy") (contains "@" (toString .value))) -}}
{{- fail (printf "%s.%s may hold a secret, and settings stand in a ConfigMap: %s" .where .name $wayOut) -}}
{{- end -}}
{{- end -}}

{{/* The file that controller and node read. */}}
{{- define "diskcsi.configFile" -}}
{{- $own := .Values.provider -}}
{{- $declared := .Files.Get "files/secret-settings.yaml" | fromYaml -}}
{{- $secret := merge (dict) $declared.driver (get $declared.providers $own.name | default dict) -}}
{{- include "diskcsi.toml" (dict "settings" .Values.driver.settings "where" "driver.settings" "secret" $secret) | trim }}

[{{ $own.name | quote }}]
{{ include "diskcsi.toml" (dict "settings" $own.settings "where" "provider.settings" "secret" $secret "public" (ternary nil $own.publicSettings (hasKey $declared.providers $own.name))) | trim }}
{{- end -}}
