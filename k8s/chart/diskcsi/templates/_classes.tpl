{{/* All StorageClasses by name: the default ones, and over them the user's. */}}
{{- define "diskcsi.storageClasses" -}}
{{- $classes := dict -}}
{{- if and .Values.defaultClasses (eq .Values.provider.name "alibaba") -}}
{{- $classes = dict
  "alicloud-disk-topology-alltype" (dict
    "parameters" (dict "type" "cloud_essd,cloud_ssd,cloud_efficiency"))
  "alicloud-disk-essd" (dict
    "parameters" (dict "type" "cloud_essd") "volumeBindingMode" "Immediate")
  "alicloud-disk-ssd" (dict
    "parameters" (dict "type" "cloud_ssd") "volumeBindingMode" "Immediate")
  "alicloud-disk-efficiency" (dict
    "parameters" (dict "type" "cloud_efficiency") "volumeBindingMode" "Immediate")
-}}
{{- end -}}
{{- include "diskcsi.classesOf" (dict "told" .Values.storageClasses "ours" $classes) -}}
{{- end -}}

{{- define "diskcsi.volumeSnapshotClasses" -}}
{{- $classes := dict -}}
{{- if and .Values.defaultClasses (eq .Values.provider.name "alibaba") -}}
{{- $classes = dict "alibabacloud-disk-snapshot" (dict) -}}
{{- end -}}
{{- include "diskcsi.classesOf" (dict "told" .Values.volumeSnapshotClasses "ours" $classes) -}}
{{- end -}}

{{/* Null leaves a class out, one of ours or of a chart around this one: merge would take ours then. */}}
{{- define "diskcsi.classesOf" -}}
{{- $classes := merge (deepCopy .told) .ours -}}
{{- range $name, $class := .told -}}
{{- if kindIs "invalid" $class }}{{ $_ := unset $classes $name }}{{ end -}}
{{- end -}}
{{- $classes | toYaml -}}
{{- end -}}

{{/* Parameters are texts; a number or boolean is written as one. */}}
{{- define "diskcsi.parameters" -}}
{{- range $key, $value := . }}
{{ $key | quote }}: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- end -}}
