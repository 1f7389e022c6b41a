{{/* What each sidecar may do: what its version calls with these arguments, and no Secrets, which no
     class of this driver names. `list` stands beside each `watch` for API servers that don't stream their
     lists (before Kubernetes 1.34); newer ones are asked to watch alone. */}}

{{- define "diskcsi.provisionerRules" -}}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [list, watch, create, patch, delete]
# update: lets the scheduler choose again, where a zone has no stock
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, update]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
# the zones of nodes, and whether a volume that is to be deleted is still attached
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [storage.k8s.io]
  resources: [csinodes, volumeattachments]
  verbs: [list, watch]
{{- if include "diskcsi.snapshots" . }}
# update: a finalizer while a volume is made from the snapshot
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshots]
  verbs: [get, list, watch, update]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents]
  verbs: [get]
{{- end }}
{{- end -}}

{{- define "diskcsi.attacherRules" -}}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [list, watch, patch]
- apiGroups: [storage.k8s.io]
  resources: [csinodes]
  verbs: [list, watch]
- apiGroups: [storage.k8s.io]
  resources: [volumeattachments]
  verbs: [list, watch, patch]
- apiGroups: [storage.k8s.io]
  resources: [volumeattachments/status]
  verbs: [patch]
{{- end -}}

{{- define "diskcsi.resizerRules" -}}
{{- if .Values.sidecars.resizer.enabled }}
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- end -}}

{{- define "diskcsi.snapshotterRules" -}}
{{- if include "diskcsi.snapshots" . }}
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotclasses]
  verbs: [list, watch]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents]
  verbs: [get, list, watch, patch]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshotcontents/status]
  verbs: [patch, update]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- end }}
{{- end -}}
