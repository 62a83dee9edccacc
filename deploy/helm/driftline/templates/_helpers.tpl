{{- define "driftline.selector" -}}
app.kubernetes.io/name: driftline
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftline.labels" -}}
{{ include "driftline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "driftline.name" -}}
{{ eq .Release.Name "driftline" | ternary "driftline" (printf "%s-driftline" .Release.Name) | trunc 52 | trimSuffix "-" }}
{{- end }}
