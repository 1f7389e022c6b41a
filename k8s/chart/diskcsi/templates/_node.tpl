{{- define "diskcsi.pluginDir" -}}
{{ .Values.node.kubeletDir }}/plugins/{{ include "diskcsi.driverName" . }}
{{- end -}}

{{- define "diskcsi.nodeHttpHost" -}}
{{- .Values.node.httpHost | default (.Values.metrics.enabled | ternary "0.0.0.0" "127.0.0.1") -}}
{{- end -}}

{{/* Whom kubelet's probes ask: the driver, or for its life the stock helper. */}}
{{- define "diskcsi.nodeProbed" -}}
host: {{ include "diskcsi.nodeHttpHost" . | replace "0.0.0.0" "" | quote }}
{{- if .Values.node.stockHelpers }}
livenessPort: {{ .Values.sidecars.livenessProbe.httpPort }}
{{- end }}
{{- end -}}

{{/* Root, as the driver's socket and kubelet's directory are root's, and nothing of what root may do. */}}
{{- define "diskcsi.rootWithoutPowers" -}}
runAsUser: 0
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What the node has to hand over: each path says why. */}}
{{- define "diskcsi.nodeVolumes" -}}
# mounts for pods are made below it and must reach the node; the driver's socket and kubelet's
# registration directory are in it, too
- name: kubelet
  hostPath: {path: {{ .Values.node.kubeletDir }}, type: Directory}
# a disk that is attached later appears there, and not in a container's own /dev
- name: dev
  hostPath: {path: /dev, type: Directory}
{{- if .Values.node.stockHelpers }}
# the stock helpers see no more of kubelet's directory than they need
- name: plugin
  hostPath: {path: {{ include "diskcsi.pluginDir" . }}, type: DirectoryOrCreate}
- name: registration
  hostPath: {path: {{ .Values.node.kubeletDir }}/plugins_registry, type: Directory}
{{- end }}
{{ include "diskcsi.configVolume" . }}
{{- with .Values.node.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "diskcsi.nodeOwnArgs" -}}
{{ include "diskcsi.driverArgs" (dict "root" . "part" .Values.node) }}
# kubelet finds the socket by the same path as the driver; notes of running formats are kept beside it
- --endpoint=unix://{{ include "diskcsi.pluginDir" . }}/csi.sock
- --run-controller-service=false
- --run-node-service=true
- --kubelet-root-dir={{ .Values.node.kubeletDir }}
- --http-host={{ include "diskcsi.nodeHttpHost" . }}
{{- if not .Values.node.stockHelpers }}
- --registration-dir={{ .Values.node.kubeletDir }}/plugins_registry
{{- end }}
{{- if .Values.node.nodeLabels }}
- --node-labels=true
{{- end }}
{{- end -}}

{{- define "diskcsi.nodeEnv" -}}
- name: KUBE_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- with .Values.node.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What the driver does by itself, done by the stock helpers. */}}
{{- define "diskcsi.stockHelpers" -}}
- name: node-driver-registrar
  image: {{ include "diskcsi.sidecarImage" (dict "root" . "sidecar" .Values.sidecars.registrar) }}
  imagePullPolicy: {{ .Values.sidecars.pullPolicy }}
  args:
    - --csi-address=/csi/csi.sock
    - --kubelet-registration-path={{ include "diskcsi.pluginDir" . }}/csi.sock
    # the first answer of a driver that starts may take longer than the stock second
    - --timeout=10s
    - --v={{ .Values.sidecars.logLevel }}
  securityContext: {{- include "diskcsi.rootWithoutPowers" . | nindent 4 }}
  resources: {{- toYaml .Values.sidecars.registrar.resources | nindent 4 }}
  volumeMounts:
    - {name: plugin, mountPath: /csi}
    - {name: registration, mountPath: /registration}
- name: liveness-probe
  image: {{ include "diskcsi.sidecarImage" (dict "root" . "sidecar" .Values.sidecars.livenessProbe) }}
  imagePullPolicy: {{ .Values.sidecars.pullPolicy }}
  args:
    - --csi-address=/csi/csi.sock
    - --http-endpoint={{ include "diskcsi.nodeHttpHost" . }}:{{ .Values.sidecars.livenessProbe.httpPort }}
    - --v={{ .Values.sidecars.logLevel }}
  securityContext: {{- include "diskcsi.rootWithoutPowers" . | nindent 4 }}
  resources: {{- toYaml .Values.sidecars.livenessProbe.resources | nindent 4 }}
  volumeMounts:
    - {name: plugin, mountPath: /csi}
{{- end -}}
