{{/* Lines of TOML: every text, number, boolean and list of JSON is one of TOML as well. */}}
{{- define "diskcsi.toml" -}}
{{- $where := .where -}}
{{- range $name, $value := .settings }}
{{- if kindIs "map" $value }}
{{- fail (printf "%s.%s is a map: allowed are texts, numbers, booleans and lists" $where $name) }}
{{- end }}
{{- if has $name (list "access_key_id" "access_key_secret" "security_token") }}
{{- fail (printf "%s.%s is a key, and settings are public: put it into the Secret that credentials.existingSecret names" $where $name) }}
{{- end }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The file that controller and node read. */}}
{{- define "diskcsi.configFile" -}}
{{- include "diskcsi.toml" (dict "settings" .Values.driver.settings "where" "driver.settings") | trim }}

[{{ .Values.provider.name | quote }}]
{{ include "diskcsi.toml" (dict "settings" .Values.provider.settings "where" "provider.settings") | trim }}
{{- end -}}

{{/* What the chart can tell before anything is installed; the driver tells the rest. */}}
{{- define "diskcsi.checks" -}}
{{- $environment := or .Values.controller.env .Values.controller.envFrom -}}
{{- if and (eq .Values.provider.name "alibaba") (not .Values.provider.settings.region) (not $environment) -}}
{{- fail "provider.settings.region is required: --set provider.settings.region=cn-hangzhou, or REGION_ID by controller.env or controller.envFrom" -}}
{{- end -}}
{{- if and .Values.credentials.id (not .Values.credentials.secret) -}}
{{- fail "credentials.secret is required with credentials.id; or give neither, and name a Secret by credentials.existingSecret" -}}
{{- end -}}
{{- if and .Values.defaultStorageClass (not (hasKey (include "diskcsi.storageClasses" . | fromYaml) .Values.defaultStorageClass)) -}}
{{- fail (printf "defaultStorageClass is %s, and no class of this chart has that name: there are %s" .Values.defaultStorageClass (include "diskcsi.storageClasses" . | fromYaml | keys | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
