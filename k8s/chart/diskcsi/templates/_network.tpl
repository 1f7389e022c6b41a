{{/* A setting of the provider, as far as the chart can tell: from the environment that it writes, else from the file. */}}
{{- define "diskcsi.told" -}}
{{- $told := get .root.Values.provider.settings .setting -}}
{{- range .root.Values.controller.env -}}
{{- if eq (toString (get . "name")) $.variable }}{{ $told = get . "value" }}{{ end -}}
{{- end -}}
{{- $told -}}
{{- end -}}

{{/* The port of an address, HOST or HOST:PORT, with or without a scheme. */}}
{{- define "diskcsi.portOf" -}}
{{- $host := regexReplaceAll "^[a-z]+://" .address "" | splitList "/" | first -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default .other -}}
{{- end -}}

{{/* Whom the driver calls by itself: the proxy, or else the cloud's endpoint. */}}
{{- define "diskcsi.callsPort" -}}
{{- $proxy := .Values.proxy | default (include "diskcsi.told" (dict "root" . "setting" "proxy" "variable" "DISKCSI_PROXY")) -}}
{{- if $proxy -}}
{{- include "diskcsi.portOf" (dict "address" $proxy "other" "80") -}}
{{- else if eq .Values.provider.name "alibaba" -}}
{{- $scheme := include "diskcsi.told" (dict "root" . "setting" "ecs_scheme" "variable" "ALICLOUD_CLIENT_SCHEME") -}}
{{- $endpoint := include "diskcsi.told" (dict "root" . "setting" "ecs_endpoint" "variable" "ECS_ENDPOINT") -}}
{{- include "diskcsi.portOf" (dict "address" $endpoint "other" (eq (lower $scheme) "http" | ternary "80" "443")) -}}
{{- end -}}
{{- end -}}

{{/* The ports at which any address may be called, as a JSON list; none where the user has rules of their own. */}}
{{- define "diskcsi.egressPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.egressPorts }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- with include "diskcsi.callsPort" . -}}
{{- if $ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}
