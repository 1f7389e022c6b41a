{{/* Lines of TOML: every text, number, boolean and list of JSON is one of TOML as well. */}}
{{- define "diskcsi.toml" -}}
{{- $where := .where -}}
{{- range $name, $value := .settings }}
{{- if kindIs "map" $value }}
{{- fail (printf "%s.%s is a map: allowed are texts, numbers, booleans and lists" $where $name) }}
{{- end }}
{{- include "diskcsi.refuseSecret" (dict "secrets" $.secrets "kind" "settings" "what" (printf "%s.%s" $where $name) "name" $name "value" $value) }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The file that controller and node read. */}}
{{- define "diskcsi.configFile" -}}
{{- $own := .Values.provider -}}
{{- $secrets := include "diskcsi.secrets" . | fromYaml -}}
{{- include "diskcsi.toml" (dict "settings" .Values.driver.settings "where" "driver.settings" "secrets" (omit $secrets "public")) | trim }}

[{{ $own.name | quote }}]
{{ include "diskcsi.toml" (dict "settings" $own.settings "where" "provider.settings" "secrets" $secrets) | trim }}
{{- end -}}
