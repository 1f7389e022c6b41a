{{- define "diskcsi.controllerOwnArgs" -}}
{{ include "diskcsi.driverArgs" (dict "root" . "part" .Values.controller) }}
- --endpoint=unix:///csi/csi.sock
- --run-controller-service=true
- --run-node-service=false
- --http-host=0.0.0.0
{{- end -}}

{{- define "diskcsi.controllerEnv" -}}
{{- with include "diskcsi.credentials" . }}
- name: DISKCSI_CREDENTIALS_DIR
  value: /etc/diskcsi/secrets/{{ . }}
{{- end }}
{{- with .Values.proxy }}
- name: DISKCSI_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.ca.configMap }}
- name: SSL_CERT_FILE
  value: /etc/diskcsi/ca/{{ .Values.ca.key }}
{{- end }}
{{- with .Values.controller.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "diskcsi.controllerMounts" -}}
- {name: socket, mountPath: /csi}
- {name: config, mountPath: /etc/diskcsi/config, readOnly: true}
{{- with include "diskcsi.credentials" . }}
# a directory, not a subPath: kubelet replaces its files when the Secret changes; and with the Secret's
# name, so that the driver's messages have it
- {name: credentials, mountPath: /etc/diskcsi/secrets/{{ . }}, readOnly: true}
{{- end }}
{{- if .Values.ca.configMap }}
- {name: ca, mountPath: /etc/diskcsi/ca, readOnly: true}
{{- end }}
{{- if .Values.controller.projectedToken.enabled }}
- {name: projected-token, mountPath: {{ .Values.controller.projectedToken.mountPath }}, readOnly: true}
{{- end }}
{{- with .Values.controller.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "diskcsi.sidecars" -}}
{{ include "diskcsi.sidecar" (dict "root" . "name" "provisioner" "args" (include "diskcsi.provisionerArgs" .)) }}
{{ include "diskcsi.sidecar" (dict "root" . "name" "attacher" "args" (include "diskcsi.attacherArgs" .)) }}
{{- if .Values.sidecars.resizer.enabled }}
{{ include "diskcsi.sidecar" (dict "root" . "name" "resizer" "args" (include "diskcsi.resizerArgs" .)) }}
{{- end }}
{{- if include "diskcsi.snapshots" . }}
{{ include "diskcsi.sidecar" (dict "root" . "name" "snapshotter" "args" (include "diskcsi.snapshotterArgs" .)) }}
{{- end }}
{{- end -}}

{{- define "diskcsi.provisionerArgs" -}}
- --worker-threads={{ .Values.sidecars.provisioner.workers }}
# as the first Alibaba driver names its disks: disk-UID
- --volume-name-prefix=disk
# where a class names no filesystem; without one, fsGroup of a pod would have no effect
- --default-fstype=ext4
# names of claim and volume, which become tags of the disk
- --extra-create-metadata
# the zone of the node that the scheduler chose, and no other
- --strict-topology
- --retry-interval-start=500ms
# a disk is deleted so soon after its detach; of claims that are refused the driver spares the cloud
- --retry-interval-max=5s
# the driver changes no volume's class so far, and the sidecar then needs no right to read them
- --feature-gates=VolumeAttributesClass=false
{{- if not (include "diskcsi.snapshots" .) }}
# looks for snapshots, whose API is not there
- --snapshot-orphan-sweep-interval=0
{{- end }}
{{- end -}}

{{- define "diskcsi.attacherArgs" -}}
- --worker-threads={{ .Values.sidecars.attacher.workers }}
- --default-fstype=ext4
- --retry-interval-start=500ms
- --retry-interval-max=1m
{{- end -}}

{{- define "diskcsi.resizerArgs" -}}
- --workers={{ .Values.sidecars.resizer.workers }}
# volumes grow while pods use them, so no pod has to be looked at
- --handle-volume-inuse-error=false
- --feature-gates=VolumeAttributesClass=false
- --retry-interval-max=1m
{{- end -}}

{{- define "diskcsi.snapshotterArgs" -}}
- --worker-threads={{ .Values.sidecars.snapshotter.workers }}
# as the first Alibaba driver names them
- --snapshot-name-prefix=alibabacloud-disk
- --extra-create-metadata
- --retry-interval-max=1m
{{- end -}}
