{{/* What the chart can tell before anything is installed; the driver tells the rest. */}}
{{- define "diskcsi.checks" -}}
{{- include "diskcsi.checkName" . -}}
{{- include "diskcsi.checkProvider" . -}}
{{- include "diskcsi.checkCredentials" . -}}
{{- include "diskcsi.checkClasses" . -}}
{{- include "diskcsi.checkSwitches" . -}}
{{- include "diskcsi.checkAccounts" . -}}
{{- include "diskcsi.checkElection" .Values.sidecars.leaderElection -}}
{{- include "diskcsi.checkPorts" . -}}
{{- include "diskcsi.checkSecrets" . -}}
{{- include "diskcsi.checkRepeated" . -}}
{{- end -}}

{{- define "diskcsi.checkName" -}}
{{- $name := include "diskcsi.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "all objects would be named %s..., and no Service may begin with a digit: give the release another name, or fullnameOverride" $name) -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkProvider" -}}
{{- $environment := or .Values.controller.env .Values.controller.envFrom -}}
{{- if and (eq .Values.provider.name "alibaba") (not .Values.provider.settings.region) (not $environment) -}}
{{- fail "provider.settings.region is required: --set provider.settings.region=cn-hangzhou, or REGION_ID by controller.env or controller.envFrom" -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkCredentials" -}}
{{- with .Values.credentials -}}
{{- if and .id (not .secret) -}}
{{- fail "credentials.secret is required with credentials.id; or give neither, and name a Secret by credentials.existingSecret" -}}
{{- end -}}
{{- if and (or .secret .token) (not .id) -}}
{{- fail "credentials.id is missing: credentials.secret and credentials.token belong to it" -}}
{{- end -}}
{{- if and .id .existingSecret -}}
{{- fail "credentials.id and credentials.existingSecret both name a key pair: give one of them" -}}
{{- end -}}
{{- if and .id (not .enabled) -}}
{{- fail "credentials.enabled is off, so credentials.id has no effect: leave one of them out" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkClasses" -}}
{{- $classes := include "diskcsi.storageClasses" . | fromYaml -}}
{{- $default := .Values.defaultStorageClass -}}
{{- if and $default (not (hasKey $classes $default)) -}}
{{- fail (printf "defaultStorageClass is %s, and no class of this chart has that name: there are %s" $default (keys $classes | sortAlpha | join ", ")) -}}
{{- end -}}
{{- include "diskcsi.checkOneDefault" (dict "kind" "StorageClass" "classes" $classes "named" $default) -}}
{{- include "diskcsi.checkOneDefault" (dict "kind" "VolumeSnapshotClass" "classes" (include "diskcsi.volumeSnapshotClasses" . | fromYaml) "named" "") -}}
{{- end -}}

{{- define "diskcsi.checkOneDefault" -}}
{{- $found := list -}}
{{- range $name, $class := .classes -}}
{{- if or $class.default (eq $name $.named) }}{{ $found = append $found $name }}{{ end -}}
{{- end -}}
{{- if gt (len $found) 1 -}}
{{- fail (printf "%s are all the default %s: Kubernetes knows one, so make it one" (sortAlpha $found | join ", ") .kind) -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkSwitches" -}}
{{- if and .Values.networkPolicy.enabled .Values.controller.hostNetwork -}}
{{- fail "networkPolicy.enabled has no effect with controller.hostNetwork: no policy reaches a pod on the node's network; switch one of them off" -}}
{{- end -}}
{{- if and .Values.volumeSnapshotClasses (eq (toString .Values.snapshots.enabled) "false") -}}
{{- fail "volumeSnapshotClasses has no effect while snapshots.enabled is off: leave one of them out" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "prometheusRule" -}}
{{- if and (get $.Values.metrics $name).enabled (not $.Values.metrics.enabled) -}}
{{- fail (printf "metrics.%s.enabled needs metrics.enabled, which makes the Services that Prometheus reads" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkAccounts" -}}
{{- range $part := .Values.node.enabled | ternary (list "controller" "node") (list "controller") -}}
{{- $account := (get $.Values $part).serviceAccount -}}
{{- if and (not $account.create) (not $account.name) -}}
{{- fail (printf "%s.serviceAccount.name is required where %s.serviceAccount.create is off: pods have no other account" $part $part) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* As the sidecars' own library asks for it; they end at once otherwise. */}}
{{- define "diskcsi.checkElection" -}}
{{- if le (int .leaseSeconds) (int .renewSeconds) -}}
{{- fail (printf "sidecars.leaderElection: leaseSeconds %d must be more than renewSeconds %d" (int .leaseSeconds) (int .renewSeconds)) -}}
{{- end -}}
{{- if le (mul 10 .renewSeconds) (mul 12 .retrySeconds) -}}
{{- fail (printf "sidecars.leaderElection: renewSeconds %d must be more than 1.2 times retrySeconds %d" (int .renewSeconds) (int .retrySeconds)) -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.checkPorts" -}}
{{- $controller := dict (toString .Values.controller.httpPort) "controller.httpPort" -}}
{{- range $name := include "diskcsi.runningSidecars" . | fromJsonArray -}}
{{- include "diskcsi.takePort" (dict "taken" $controller "port" (get $.Values.sidecars $name).httpPort "by" (printf "sidecars.%s.httpPort" $name)) -}}
{{- end -}}
{{- if and .Values.node.enabled .Values.node.stockHelpers -}}
{{- $node := dict (toString .Values.node.httpPort) "node.httpPort" -}}
{{- include "diskcsi.takePort" (dict "taken" $node "port" .Values.sidecars.livenessProbe.httpPort "by" "sidecars.livenessProbe.httpPort") -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.takePort" -}}
{{- with get .taken (toString .port) -}}
{{- fail (printf "%v is given to both %s and %s: containers of one pod need ports of their own" $.port . $.by) -}}
{{- end -}}
{{- $_ := set .taken (toString .port) .by -}}
{{- end -}}

{{/* What the chart gives already. Of two flags the program takes the last, while probes, Services and
     sidecars go by the first; a flag wins over the file of settings; of two variables one is lost. */}}
{{- define "diskcsi.checkRepeated" -}}
{{- $ofController := include "diskcsi.controllerOwnArgs" . -}}
{{- $ofNode := include "diskcsi.nodeOwnArgs" . -}}
{{- include "diskcsi.refuseFlags" (dict "where" "controller.args" "args" .Values.controller.args "own" $ofController) -}}
{{- include "diskcsi.refuseFlags" (dict "where" "node.args" "args" .Values.node.args "own" $ofNode) -}}
{{- range $name := include "diskcsi.runningSidecars" . | fromJsonArray -}}
{{- $own := include "diskcsi.sidecarOwnArgs" (dict "root" $ "sidecar" (get $.Values.sidecars $name)) -}}
{{- include "diskcsi.refuseFlags" (dict "where" (printf "sidecars.%s.args" $name) "args" (get $.Values.sidecars $name).args "own" $own) -}}
{{- end -}}
{{- $flags := regexFindAll "(?m)^- --[a-z-]+" (printf "%s\n%s" $ofController $ofNode) -1 -}}
{{- range $name, $_ := .Values.driver.settings -}}
{{- $flag := printf "--%s" (replace "_" "-" $name) -}}
{{- if has (printf "- %s" $flag) $flags -}}
{{- fail (printf "driver.settings.%s has no effect: the chart gives %s by another value" $name $flag) -}}
{{- end -}}
{{- end -}}
{{- include "diskcsi.refuseVariables" (dict "where" "controller.env" "all" (include "diskcsi.controllerEnv" .)) -}}
{{- include "diskcsi.refuseVariables" (dict "where" "node.env" "all" (include "diskcsi.nodeEnv" .)) -}}
{{- end -}}

{{- define "diskcsi.refuseFlags" -}}
{{- $own := regexFindAll "(?m)^- --[a-z-]+" .own -1 -}}
{{- range .args -}}
{{- $flag := printf "--%s" (splitList "=" . | first | trimAll "-") -}}
{{- if has (printf "- %s" $flag) $own -}}
{{- fail (printf "%s repeats %s, which the chart gives by another value: change that one" $.where $flag) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.refuseVariables" -}}
{{- $seen := dict -}}
{{- range .all | fromYamlArray -}}
{{- $name := get . "name" | toString -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "%s repeats %s, which stands in it already or is given by another value of the chart" $.where $name) -}}
{{- end -}}
{{- $_ := set $seen $name true -}}
{{- end -}}
{{- end -}}
