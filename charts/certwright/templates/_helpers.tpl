{{/* The name of the objects. */}}
{{- define "certwright.fullname" -}}
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
{{- define "certwright.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "certwright.labels" -}}
{{ include "certwright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Name, namespace and labels of an object. */}}
{{- define "certwright.metadata" -}}
name: {{ include "certwright.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "certwright.labels" . | nindent 2 }}
{{- end }}

{{- define "certwright.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "certwright.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "certwright.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* The port of an address such as `[::]:8089`. */}}
{{- define "certwright.port" -}}
{{- regexFind "[0-9]+$" . }}
{{- end }}

{{- define "certwright.responderPort" -}}
{{- include "certwright.port" (.Values.config.responderAddr | default "[::]:8089") }}
{{- end }}

{{- define "certwright.tlsAlpn01ResponderPort" -}}
{{- include "certwright.port" (.Values.config.tlsAlpn01ResponderAddr | default "[::]:8090") }}
{{- end }}

{{- define "certwright.metricsPort" -}}
{{- include "certwright.port" (.Values.config.metricsAddr | default "[::]:8080") }}
{{- end }}

{{/* The operator's settings as environment variables: `backoffFirst` is `CERTWRIGHT_BACKOFF_FIRST`. */}}
{{- define "certwright.settings" -}}
{{- $config := deepCopy .Values.config }}
{{- if .Values.watchNamespaces }}
{{- $_ := set $config "watchNamespaces" .Values.watchNamespaces }}
{{- $_ := set $config "clusterIssuers" false }}
{{- end }}
{{- if not (or $config.leaseName $config.watchLabelSelector (eq (include "certwright.fullname" .) "certwright")) }}
{{- $_ := set $config "leaseName" (include "certwright.fullname" .) }}
{{- end }}
{{- range $name, $value := $config }}
{{- $text := kindIs "slice" $value | ternary (join "," $value) ($value | toString) }}
{{- if not (or (kindIs "invalid" $value) (eq $text "")) }}
- name: CERTWRIGHT_{{ $name | snakecase | upper }}
  value: {{ kindIs "float64" $value | ternary (printf "%v" (int64 $value)) $text | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The rules of a role of deploy/base, or of another file, by its kind and name. */}}
{{- define "certwright.rules" -}}
{{- $kind := .kind }}
{{- $name := .name | default "certwright" }}
{{- range splitList "\n---\n" (.root.Files.Get (.file | default "files/rbac.yaml")) }}
{{- $role := fromYaml . }}
{{- if and (eq $role.kind $kind) (eq $role.metadata.name $name) }}
{{- toYaml $role.rules }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether annotations on Ingresses and Gateways make Certificates: not empty if they do. */}}
{{- define "certwright.annotations" -}}
{{- if ne (toString .Values.config.annotations) "false" }}yes{{ end }}
{{- end }}

{{/* The rules of the ClusterRoles that a Role can have: those for objects in namespaces. */}}
{{- define "certwright.namespacedRules" -}}
{{- $rules := list }}
{{- range include "certwright.rules" (dict "root" . "kind" "ClusterRole") | fromYamlArray }}
{{- $resources := without .resources "clusterissuers" "clusterissuers/status" "clusterissuers/finalizers" "namespaces" }}
{{- if $resources }}
{{- $rules = append $rules (set . "resources" $resources) }}
{{- end }}
{{- end }}
{{- if include "certwright.annotations" . }}
{{- $annotations := include "certwright.rules" (dict "root" . "kind" "ClusterRole" "name" "certwright-annotations") }}
{{- $rules = concat $rules ($annotations | fromYamlArray) }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{- define "certwright.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "certwright.serviceAccountName" . }}
    namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "certwright.check" -}}
{{- if and (gt (int .Values.replicas) 1) (eq (toString .Values.config.leaderElect) "false") }}
{{- fail "config.leaderElect is false and there is more than one replica: each would order certificates for itself. Set replicas to 1, or leave config.leaderElect empty." }}
{{- end }}
{{- if and .Values.watchNamespaces (eq (toString .Values.config.clusterIssuers) "true") }}
{{- fail "config.clusterIssuers is true and watchNamespaces is set: the operator then has rights in these namespaces only, and ClusterIssuers are in none. Leave one of them empty." }}
{{- end }}
{{- if and .Values.watchNamespaces (eq (toString .Values.config.certificateSigningRequests) "true") }}
{{- fail "config.certificateSigningRequests is true and watchNamespaces is set: the operator then has rights in these namespaces only, and CertificateSigningRequests are in none. Leave one of them empty." }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled }}
{{- fail "serviceMonitor.enabled and podMonitor.enabled are both true: Prometheus would read every metric twice. Leave one of them false." }}
{{- end }}
{{- if and .Values.podMonitor.enabled .Values.config.metricsAuth (not .Values.podMonitor.authorization) }}
{{- fail "config.metricsAuth is true and podMonitor.authorization is empty: a PodMonitor cannot use the token of Prometheus' pod. Name a Secret with a token in podMonitor.authorization, or use serviceMonitor." }}
{{- end }}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret }}
{{- fail "caBundle.configMap and caBundle.secret are both set: the certificates can come from one of them only. Leave the other empty." }}
{{- end }}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create }}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the roles would go to the namespace's ServiceAccount default, and so to every pod that names none. Name one." }}
{{- end }}
{{- end }}

{{/* Where egress rules reach: everywhere but to what is excepted. Without exceptions they say nothing of it. */}}
{{- define "certwright.egressTo" -}}
{{- with .Values.networkPolicy.egressExcept -}}
{{- $four := list }}
{{- $six := list }}
{{- range . }}
{{- if contains ":" . }}{{ $six = append $six . }}{{ else }}{{ $four = append $four . }}{{ end }}
{{- end -}}
to:
  - ipBlock:
      cidr: 0.0.0.0/0
      {{- with $four }}
      except:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  - ipBlock:
      cidr: "::/0"
      {{- with $six }}
      except:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
{{- end }}
