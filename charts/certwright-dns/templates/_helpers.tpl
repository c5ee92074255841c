{{/* The name of the objects. */}}
{{- define "certwright-dns.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What tells the pods of this release from all others. */}}
{{- define "certwright-dns.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "certwright-dns.labels" -}}
{{ include "certwright-dns.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name, namespace and labels of an object. */}}
{{- define "certwright-dns.metadata" -}}
name: {{ include "certwright-dns.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "certwright-dns.labels" . | nindent 2 }}
{{- end }}

{{/* The name of an object without a namespace, and of one in a namespace of others. */}}
{{- define "certwright-dns.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "certwright-dns.fullname" .) }}
{{- end }}

{{- define "certwright-dns.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "certwright-dns.fullname" .) }}
{{- end }}

{{- define "certwright-dns.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "certwright-dns.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "certwright-dns.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* The settings as environment variables: `egressDeny` is `CERTWRIGHT_DNS_EGRESS_DENY`. */}}
{{- define "certwright-dns.settings" -}}
{{- range $name, $value := .Values.config }}
{{- $text := kindIs "slice" $value | ternary (join "," $value) ($value | toString) }}
{{- if not (or (kindIs "invalid" $value) (eq $text "")) }}
- name: CERTWRIGHT_DNS_{{ $name | snakecase | upper }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "certwright-dns.check" -}}
{{- if and .Values.tls.secretName (not .Values.tls.caBundle) }}
{{- fail "tls.secretName is set and tls.caBundle is empty: the API server would not trust the certificate. Set tls.caBundle to its authority, in PEM." }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: there would be no ServiceAccount. Name one." }}
{{- end }}
{{- end }}
