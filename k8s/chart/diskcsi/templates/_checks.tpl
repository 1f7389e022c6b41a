{{/* What the chart can tell before anything is installed; the driver tells the rest. */}}
{{- define "diskcsi.checks" -}}
{{- $environment := or .Values.controller.env .Values.controller.envFrom -}}
{{- if and (eq .Values.provider.name "alibaba") (not .Values.provider.settings.region) (not $environment) -}}
{{- fail "provider.settings.region is required: --set provider.settings.region=cn-hangzhou, or REGION_ID by controller.env or controller.envFrom" -}}
{{- end -}}
{{- if contains "@" .Values.proxy -}}
{{- fail "proxy may hold a user and a password, and stands in the Deployment: give it as DISKCSI_PROXY by controller.envFrom, from a Secret" -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled .Values.controller.hostNetwork -}}
{{- fail "networkPolicy.enabled has no effect with controller.hostNetwork: no policy reaches a pod on the node's network; switch one of them off" -}}
{{- end -}}
{{- if and .Values.credentials.id (not .Values.credentials.secret) -}}
{{- fail "credentials.secret is required with credentials.id; or give neither, and name a Secret by credentials.existingSecret" -}}
{{- end -}}
{{- if and .Values.defaultStorageClass (not (hasKey (include "diskcsi.storageClasses" . | fromYaml) .Values.defaultStorageClass)) -}}
{{- fail (printf "defaultStorageClass is %s, and no class of this chart has that name: there are %s" .Values.defaultStorageClass (include "diskcsi.storageClasses" . | fromYaml | keys | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
