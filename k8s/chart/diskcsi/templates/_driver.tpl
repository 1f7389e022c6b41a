{{/* What the driver's container has in both pods. .role is controller or node. */}}

{{- define "diskcsi.driverArgs" -}}
- run
- --provider={{ .root.Values.provider.name }}
- --driver={{ include "diskcsi.driverName" .root }}
- --config=/etc/diskcsi/config/config.toml
- --log-level={{ .root.Values.driver.logLevel }}
- --logging-format={{ .root.Values.driver.logFormat }}
- --drain-s={{ .part.drainSeconds }}
- --http-port={{ .part.httpPort }}
{{- end -}}

{{/* Liveness asks the process and its socket: a restart mends no cloud. Readiness asks the cloud too. */}}
{{- define "diskcsi.livenessGet" -}}
httpGet: {{ include "diskcsi.httpGet" (dict "path" "/healthz" "host" .host "port" .livenessPort) }}
periodSeconds: 10
timeoutSeconds: 5
failureThreshold: 3
{{- end -}}

{{- define "diskcsi.readinessGet" -}}
httpGet: {{ include "diskcsi.httpGet" (dict "path" "/readyz" "host" .host) }}
timeoutSeconds: 5
{{- end -}}

{{/* Kubelet looks at a controller at once when it has seen all its containers start, which takes them
     longer than the driver needs to take its port: who asks then waits for the answer. A start's probe
     would make that look wait for a tick of its own. */}}
{{- define "diskcsi.controllerProbes" -}}
livenessProbe:
  # a start's time, before three failures count
  initialDelaySeconds: 30
  {{- include "diskcsi.livenessGet" (dict "host" "") | nindent 2 }}
readinessProbe:
  {{- include "diskcsi.readinessGet" (dict "host" "") | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* A node's one container may be seen before it has its port. The start's probe looks every second, so that a
     pod is ready when it can be. */}}
{{- define "diskcsi.nodeProbes" -}}
startupProbe:
  httpGet: {{ include "diskcsi.httpGet" (dict "path" "/healthz" "host" .host) }}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 60
livenessProbe:
  {{- include "diskcsi.livenessGet" . | nindent 2 }}
readinessProbe:
  {{- include "diskcsi.readinessGet" . | nindent 2 }}
  periodSeconds: 10
  failureThreshold: 2
{{- end -}}

{{- define "diskcsi.httpGet" -}}
{path: {{ .path }}, port: {{ .port | default "http" }}{{ with .host }}, host: {{ . }}{{ end }}}
{{- end -}}

{{- define "diskcsi.checksum" -}}
checksum/config: {{ include "diskcsi.configFile" . | sha256sum }}
{{- end -}}

{{- define "diskcsi.configVolume" -}}
- name: config
  configMap:
    name: {{ include "diskcsi.fullname" . }}-config
{{- end -}}

{{- define "diskcsi.podBasics" -}}
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
{{- with .part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
