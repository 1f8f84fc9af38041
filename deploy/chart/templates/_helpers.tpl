{{/* The labels that a selector may use: they never change. */}}
{{- define "berth.selectorLabels" -}}
app.kubernetes.io/name: berth
{{- end }}

{{/* The labels of every object. */}}
{{- define "berth.labels" -}}
{{ include "berth.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* What makes cert-manager's cainjector write caBundle. */}}
{{- define "berth.injectCA" -}}
{{- if eq .Values.certs.source "cert-manager" }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/berth-ca
{{- end }}
{{- end }}

{{/*
One webhook, mutating or validating. Takes name, path and the root context.
Which requests come is decided here and not in berth: what is excluded must work
while every replica is down.
*/}}
{{- define "berth.webhook" -}}
{{- $ := .root -}}
name: {{ .name }}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: berth
    namespace: {{ $.Release.Namespace }}
    path: {{ .path }}
    port: 443
  {{- if eq $.Values.certs.source "files" }}
  {{- with $.Values.webhook.caBundle }}
  caBundle: {{ . }}
  {{- end }}
  {{- end }}
rules:
  - apiGroups: [apps]
    apiVersions: [v1]
    operations: [CREATE, UPDATE]
    resources: [daemonsets]
    scope: Namespaced
matchPolicy: Equivalent
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ append $.Values.webhook.excludedNamespaces $.Release.Namespace | uniq | toJson }}
{{- with $.Values.webhook.excludedPriorityClasses }}
matchConditions:
  - name: not-excluded-priority-class
    expression: >-
      !(object.?spec.?template.?spec.?priorityClassName.orValue("") in {{ toJson . }})
{{- end }}
failurePolicy: {{ $.Values.webhook.failurePolicy }}
sideEffects: None
timeoutSeconds: {{ $.Values.webhook.timeoutSeconds }}
{{- end }}
