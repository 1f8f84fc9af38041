{{/*
Values that a chart of an earlier version did not have are missing here after
helm upgrade --reuse-values: read them in parentheses, and with their default. So is a
value that the user sets to null, unless the schema requires it: those which
the first chart had, and which cannot be empty.

A string that the user chooses goes through toYaml, which quotes it where YAML would
read something else: a namespace 123, an object called true.
*/}}

{{/* What the objects are named after; of a cluster-scoped one it is the whole name. */}}
{{- define "berth.fullname" -}}
{{ .Values.fullnameOverride | default (include "berth.name" .) }}
{{- end }}

{{- define "berth.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{/* The labels that a selector may use: they never change. */}}
{{- define "berth.selectorLabels" -}}
app.kubernetes.io/name: {{ include "berth.name" . | toYaml }}
{{- end }}

{{/* The labels of an object: its own, then those of its kind, then those of every object. Takes root, and what there is of labels. */}}
{{- define "berth.labels" -}}
{{- $own := include "berth.selectorLabels" .root | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- merge $own (.labels | default dict) (.root.Values.commonLabels | default dict) | toYaml }}
{{- end }}

{{/* metadata. Takes root, and what there is of suffix, labels, annotations, clusterScoped. */}}
{{- define "berth.metadata" -}}
name: {{ printf "%s%s" (include "berth.fullname" .root) (.suffix | default "") | toYaml }}
{{- if not .clusterScoped }}
namespace: {{ .root.Release.Namespace | toYaml }}
{{- end }}
labels:
  {{- include "berth.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "berth.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest | quote }}
{{- else -}}
{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) | quote }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* One of the container's ports. Takes root and name. */}}
{{- define "berth.port" -}}
{{ get (.root.Values.ports | default dict) .name | default (get (dict "webhook" 9443 "metrics" 8080 "health" 8081) .name) }}
{{- end }}

{{/* The Pod Security Standard restricted. */}}
{{- define "berth.podSecurityContext" -}}
{{- with .Values.podSecurityContext }}
{{- toYaml . }}
{{- else -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end }}

{{- define "berth.securityContext" -}}
{{- with .Values.securityContext }}
{{- toYaml . }}
{{- else -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
{{- end }}

{{/* The token is a volume, where it can be seen: for an hour, of this Pod. */}}
{{- define "berth.tokenVolume" -}}
name: token
projected:
  defaultMode: 292 # 0444
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3600
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end }}

{{/* Where pods may run, and with which pull Secrets. */}}
{{- define "berth.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
