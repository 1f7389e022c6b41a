{{- define "diskcsi.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What all objects begin with: the release's name, so that two releases don't meet. */}}
{{- define "diskcsi.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "diskcsi.name" .) .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | replace "." "-") (include "diskcsi.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Names without a namespace carry it, since one release name may be used in two of them. */}}
{{- define "diskcsi.clusterName" -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- include "diskcsi.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "diskcsi.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "diskcsi.driverName" -}}
{{- $own := dict "alibaba" "diskplugin.csi.alibabacloud.com" "local" "local.diskcsi.io" -}}
{{- $name := .Values.driverName | default (get $own .Values.provider.name) -}}
{{- required (printf "driverName is required for provider %s: give the CSI driver's name, such as disk.example.com" .Values.provider.name) $name -}}
{{- end -}}

{{- define "diskcsi.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: diskcsi
{{ include "diskcsi.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What pods are chosen by: it can't change from one version to the next. */}}
{{- define "diskcsi.selector" -}}
app.kubernetes.io/name: {{ include "diskcsi.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "diskcsi.controllerAccount" -}}
{{- .Values.controller.serviceAccount.name | default (printf "%s-controller" (include "diskcsi.fullname" .)) -}}
{{- end -}}

{{- define "diskcsi.nodeAccount" -}}
{{- .Values.node.serviceAccount.name | default (printf "%s-node" (include "diskcsi.fullname" .)) -}}
{{- end -}}

{{/* The Secret with the key pair; empty where none is mounted. */}}
{{- define "diskcsi.credentials" -}}
{{- if .Values.credentials.enabled -}}
{{- if .Values.credentials.id -}}
{{- include "diskcsi.fullname" . }}-credentials
{{- else -}}
{{- .Values.credentials.existingSecret | default (ternary "csi-access-key" "" (eq .Values.provider.name "alibaba")) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether VolumeSnapshots are served. */}}
{{- define "diskcsi.snapshots" -}}
{{- if eq (toString .Values.snapshots.enabled) "auto" -}}
{{- if .Capabilities.APIVersions.Has "snapshot.storage.k8s.io/v1" }}true{{ end -}}
{{- else if .Values.snapshots.enabled -}}
true
{{- end -}}
{{- end -}}

{{/* An image of `image`: .registry, .repository, .tag; one registry may stand for all. */}}
{{- define "diskcsi.image" -}}
{{- $registry := .root.Values.global.imageRegistry | default .registry -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .repository }}:{{ .tag -}}
{{- end -}}

{{- define "diskcsi.driverImage" -}}
{{- $image := .Values.image -}}
{{- include "diskcsi.image" (dict "root" . "registry" $image.registry "repository" $image.repository "tag" ($image.tag | default .Chart.AppVersion)) -}}
{{- end -}}

{{- define "diskcsi.sidecarImage" -}}
{{- include "diskcsi.image" (dict "root" .root "registry" .root.Values.sidecars.registry "repository" .sidecar.repository "tag" .sidecar.tag) -}}
{{- end -}}
