{{- define "mockcloud.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "mockcloud.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "mockcloud.name" .) .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-") (include "mockcloud.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mockcloud.checkName" -}}
{{- $name := include "mockcloud.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "all objects would be named %s..., and no Service may begin with a digit: give the release another name, or fullnameOverride" $name) -}}
{{- end -}}
{{- end -}}

{{/* Names without a namespace carry it, since one release name may be used in two of them. */}}
{{- define "mockcloud.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "mockcloud.fullname" .) -}}
{{- end -}}

{{- define "mockcloud.selector" -}}
app.kubernetes.io/name: {{ include "mockcloud.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mockcloud.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "mockcloud.selector" . }}
{{- end -}}

{{- define "mockcloud.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion -}}
{{- end -}}

{{- define "mockcloud.tokenSecret" -}}
{{- .Values.agent.existingSecret | default (printf "%s-agent" (include "mockcloud.fullname" .)) -}}
{{- end -}}

{{/* Of a pod: .part is server or agent. */}}
{{- define "mockcloud.podBasics" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ .part.terminationGracePeriodSeconds }}
{{- end -}}

{{/* The world that the server starts with, in TOML; machines come from the agents. */}}
{{- define "mockcloud.world" -}}
instances = []
sold_out = {{ toJson .Values.soldOut }}

[regions]
{{- /* the first one is that of nodes without labels */}}
{{- $first := required (printf "region is %s, and regions has no zones for it" .Values.region) (get .Values.regions .Values.region) }}
{{ .Values.region | quote }} = {{ toJson $first }}
{{- range $region, $zones := omit .Values.regions .Values.region }}
{{ $region | quote }} = {{ toJson $zones }}
{{- end }}

[[keys]]
id = {{ toJson .Values.key.id }}
secret = {{ toJson .Values.key.secret }}

[knobs]
{{- range $name, $value := .Values.knobs }}
{{ $name }} = {{ toJson $value }}
{{- end }}
{{- end -}}
