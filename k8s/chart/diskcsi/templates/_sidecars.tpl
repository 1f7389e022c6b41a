{{/* A stock sidecar. .name of its values, .root, .args of its own. */}}
{{- define "diskcsi.sidecar" -}}
{{- $sidecars := .root.Values.sidecars -}}
{{- $sidecar := get $sidecars .name -}}
- name: csi-{{ .name }}
  image: {{ include "diskcsi.sidecarImage" (dict "root" .root "sidecar" $sidecar) }}
  imagePullPolicy: {{ $sidecars.pullPolicy }}
  args:
    {{- include "diskcsi.sidecarOwnArgs" (dict "root" .root "sidecar" $sidecar) | nindent 4 }}
    {{- .args | nindent 4 }}
    {{- with $sidecar.args }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    - name: NAMESPACE
      valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
  ports:
    - {name: {{ .name }}, containerPort: {{ $sidecar.httpPort }}}
  # a sidecar serves its checks only when the driver is ready, which may wait for somebody to put a key
  # right: until then nothing is to restart it
  startupProbe:
    httpGet: {path: /healthz/leader-election, port: {{ .name }}}
    periodSeconds: 1
    failureThreshold: 86400
  # fails when the leader lost its lease and is still there
  livenessProbe:
    httpGet: {path: /healthz/leader-election, port: {{ .name }}}
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 3
  securityContext: {{- include "diskcsi.restricted" . | nindent 4 }}
  resources: {{- toYaml $sidecar.resources | nindent 4 }}
  volumeMounts:
    - {name: socket, mountPath: /csi}
    - {name: api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{/* What the Pod Security Standard `restricted` asks of a pod, and of a container. */}}
{{- define "diskcsi.restrictedPod" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "diskcsi.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The sidecars that run, as a JSON list: each is a container port's name, too. */}}
{{- define "diskcsi.runningSidecars" -}}
{{- $names := list "provisioner" "attacher" -}}
{{- if .Values.sidecars.resizer.enabled }}{{ $names = append $names "resizer" }}{{ end -}}
{{- if include "diskcsi.snapshots" . }}{{ $names = append $names "snapshotter" }}{{ end -}}
{{- toJson $names -}}
{{- end -}}

{{/* What every sidecar is told. */}}
{{- define "diskcsi.sidecarOwnArgs" -}}
{{- $sidecars := .root.Values.sidecars -}}
- --csi-address=/csi/csi.sock
# two pods, one leader for each sidecar: the lease is in this namespace
- --leader-election
- --leader-election-namespace=$(NAMESPACE)
- --leader-election-lease-duration={{ $sidecars.leaderElection.leaseSeconds }}s
- --leader-election-renew-deadline={{ $sidecars.leaderElection.renewSeconds }}s
- --leader-election-retry-period={{ $sidecars.leaderElection.retrySeconds }}s
# below the 300 s for which the driver goes on with a call: a repeated one finds it
- --timeout={{ .sidecar.timeoutSeconds }}s
- --kube-api-qps={{ $sidecars.kubeApiQps }}
- --kube-api-burst={{ $sidecars.kubeApiBurst }}
- --http-endpoint=:{{ .sidecar.httpPort }}
- --v={{ $sidecars.logLevel }}
{{- end -}}
