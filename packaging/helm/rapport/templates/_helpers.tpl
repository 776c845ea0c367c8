{{/* Names, labels and the parts that all pods share. */}}

{{- define "rapport.name" -}}
{{- printf "%s" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "rapport.labels" -}}
app.kubernetes.io/name: rapport
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "rapport.selector" -}}
app.kubernetes.io/name: rapport
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rapport.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
{{- end }}

{{/* What stands in every pod around its container. */}}
{{- define "rapport.pod" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: project
    projected:
      sources:
        - configMap: { name: {{ include "rapport.name" . }}-project }
{{- with .Values.project.sources }}
        {{- toYaml . | nindent 8 }}
{{- end }}
  - name: key
    secret: { secretName: {{ .Values.keySecret }}, defaultMode: 0440 }
  - name: data
    persistentVolumeClaim:
      claimName: {{ .Values.data.existingClaim | default (printf "%s-data" (include "rapport.name" .)) }}
  - name: tmp
    emptyDir: {}
{{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What stands in every container. */}}
{{- define "rapport.container" -}}
image: {{ include "rapport.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
workingDir: /data
env:
  - { name: RAPPORT_CONFIG, value: /project/rapport.toml }
{{- with .Values.environmentSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}

{{- define "rapport.mounts" -}}
- { name: project, mountPath: /project, readOnly: true }
- { name: key, mountPath: /key, readOnly: true }
- { name: data, mountPath: /data }
- { name: tmp, mountPath: /tmp }
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A job by the clock; takes the root, the name, the schedule and the command line. */}}
{{- define "rapport.cronjob" -}}
{{- $root := .root -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ include "rapport.name" $root }}-{{ .name }}
  labels: {{- include "rapport.labels" $root | nindent 4 }}
spec:
  schedule: {{ .cron | quote }}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 1
      template:
        metadata:
          labels:
            {{- include "rapport.selector" $root | nindent 12 }}
            app.kubernetes.io/component: job
        spec:
          {{- include "rapport.pod" $root | nindent 10 }}
          restartPolicy: Never
          containers:
            - name: rapport
              {{- include "rapport.container" $root | nindent 14 }}
              args: {{ .args | toJson }}
              resources: {{- toYaml $root.Values.jobResources | nindent 16 }}
              volumeMounts: {{- include "rapport.mounts" $root | nindent 16 }}
{{- end }}
