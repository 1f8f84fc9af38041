{{/* The namespaces that the ordinary tier leaves out, berth's own among them. */}}
{{- define "berth.excludedNamespaces" -}}
{{ append (.Values.webhook.excludedNamespaces | default list) .Release.Namespace | uniq | toJson }}
{{- end }}

{{- define "berth.isCritical" -}}
object.?spec.?template.?spec.?priorityClassName.orValue("") in {{ .Values.webhook.excludedPriorityClasses | default list | toJson }}
{{- end }}

{{/*
Deletion never waits for berth: the removal of a finalizer is an UPDATE. Only the stored
object is asked, for what a client writes into deletionTimestamp is dropped too late,
after mutating admission.
*/}}
{{- define "berth.isNotBeingDeleted" -}}
oldObject == null || !has(oldObject.metadata.deletionTimestamp)
{{- end }}

{{/* What makes cert-manager's cainjector write caBundle, and what the user adds. */}}
{{- define "berth.webhookAnnotations" -}}
{{- $annotations := merge (dict) (.Values.webhook.annotations | default dict) }}
{{- if eq .Values.certs.source "cert-manager" }}
{{- $_ := set $annotations "cert-manager.io/inject-ca-from" (printf "%s/%s-ca" .Release.Namespace (include "berth.fullname" .)) }}
{{- end }}
{{- toJson $annotations }}
{{- end }}

{{/* Where a webhook is called, and whom the API server trusts there. Takes path and the root context. */}}
{{- define "berth.clientConfig" -}}
{{- $ := .root -}}
service:
  name: {{ include "berth.fullname" $ | toYaml }}
  namespace: {{ $.Release.Namespace | toYaml }}
  path: {{ .path }}
  port: {{ ($.Values.service).port | default 443 }}
{{- if eq $.Values.certs.source "files" }}
{{- with $.Values.webhook.caBundle }}
caBundle: {{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}

{{/*
One webhook. Takes tier, phase (mutate or validate) and the root context.
Which requests come is decided here and not in berth: what is excluded must work
while every replica is down.

The system tier is what the ordinary one leaves out, but berth's own namespace. It
never stops a write, and holds it up for a second at most.
*/}}
{{- define "berth.webhook" -}}
{{- $ := .root -}}
{{- $system := eq .tier "system" -}}
{{- $failurePolicy := $system | ternary "Ignore" (include "berth.failurePolicy" $) -}}
{{- /* Where the API server goes on without the mutating webhook, the validating one must not deny what that has not written. */ -}}
{{- $validate := eq $failurePolicy "Fail" | ternary "validate" "validate-best-effort" -}}
name: {{ .phase }}.{{ $system | ternary "system." "" }}berth.dev
admissionReviewVersions: [v1]
clientConfig:
  {{- include "berth.clientConfig" (dict "root" $ "path" (printf "/%s-apps-v1-daemonset" (eq .phase "mutate" | ternary "mutate" $validate))) | nindent 2 }}
rules:
  - apiGroups: [apps]
    apiVersions: [v1]
    operations: [CREATE, UPDATE]
    resources: [daemonsets]
    scope: Namespaced
matchPolicy: Equivalent
namespaceSelector:
  {{- $selector := $system | ternary dict ($.Values.webhook.namespaceSelector | default dict) }}
  {{- with $selector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ $system | ternary (list $.Release.Namespace | toJson) (include "berth.excludedNamespaces" $) }}
    {{- with $selector.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
matchConditions:
  - name: not-being-deleted
    expression: >-
      {{ include "berth.isNotBeingDeleted" $ }}
{{- if $system }}
  - name: excluded-from-the-ordinary-tier
    expression: >-
      request.namespace in {{ $.Values.webhook.excludedNamespaces | default list | toJson }} ||
      {{ include "berth.isCritical" $ }}
{{- else }}
{{- if $.Values.webhook.excludedPriorityClasses }}
  - name: not-excluded-priority-class
    expression: >-
      !({{ include "berth.isCritical" $ }})
{{- end }}
{{- end }}
failurePolicy: {{ $failurePolicy }}
timeoutSeconds: {{ $system | ternary 1 $.Values.webhook.timeoutSeconds }}
sideEffects: None
{{- end }}

{{/*
Fail, where that is wanted, is what the Job of enforce.yaml sets as soon as berth
answers, so that no write fails before. What has it already keeps it. Without a
cluster to look at, as in helm template, it is what the values say.
*/}}
{{- define "berth.failurePolicy" -}}
{{- if include "berth.enforceLater" . }}Ignore{{ else }}{{ .Values.webhook.failurePolicy }}{{ end }}
{{- end }}

{{/* true, or empty. */}}
{{- define "berth.enforceLater" -}}
{{- if and (eq .Values.webhook.failurePolicy "Fail") (lookup "v1" "Namespace" "" "default") }}
{{- range $kind := list "MutatingWebhookConfiguration" "ValidatingWebhookConfiguration" }}
{{- $fails := false }}
{{- range (lookup "admissionregistration.k8s.io/v1" $kind "" (include "berth.fullname" $)).webhooks }}
{{- if eq .failurePolicy "Fail" }}{{ $fails = true }}{{ end }}
{{- end }}
{{- if not $fails }}true{{ end }}
{{- end }}
{{- end }}
{{- end }}
