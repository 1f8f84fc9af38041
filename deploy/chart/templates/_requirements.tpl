{{/* What the cluster must be like, said before anything is written to it. */}}
{{- define "berth.requirements" -}}
{{- include "berth.onlyOne" . }}
{{- include "berth.knownFields" . }}
{{- end }}

{{/* Two would both write, and argue about the status of policies. */}}
{{- define "berth.onlyOne" -}}
{{- range (lookup "admissionregistration.k8s.io/v1" "MutatingWebhookConfiguration" "" "").items }}
{{- $name := .metadata.name }}
{{- $annotations := .metadata.annotations | default dict }}
{{- $release := get $annotations "meta.helm.sh/release-name" }}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" }}
{{- $ours := and (eq $release $.Release.Name) (eq $namespace $.Release.Namespace) }}
{{- range .webhooks }}
{{- if and (eq .name "mutate.berth.dev") (not $ours) }}
{{- if $release }}
{{- fail (printf "berth is in this cluster already, as release %s in namespace %s, and a cluster has one: upgrade that one, or uninstall it first (helm uninstall %s -n %s)" $release $namespace $release $namespace) }}
{{- else if ne $name (include "berth.fullname" $) }}
{{- fail (printf "berth is in this cluster already, with the webhook configurations %s, and a cluster has one: upgrade that one, or delete it first (kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration %s)" $name $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Helm installs crds/ once and never upgrades it; what a CRD does not know is dropped in silence. */}}
{{- define "berth.knownFields" -}}
{{- with (lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "placementpolicies.berth.dev").spec }}
{{- $known := dict }}
{{- range .versions }}{{ $_ := set $known .name .schema.openAPIV3Schema }}{{ end }}
{{- range ($.Files.Get "crds/berth.dev_placementpolicies.yaml" | fromYaml).spec.versions }}
{{- with include "berth.missingFields" (dict "want" .schema.openAPIV3Schema "have" (get $known .name | default dict) "path" .name) | fromJsonArray }}
{{- fail (printf "the CRD placementpolicies.berth.dev in this cluster is older than this chart (it lacks %s). Helm does not upgrade CRDs: first run\n  helm show crds CHART | kubectl apply --server-side --force-conflicts -f -\nwith this chart for CHART" (join ", " .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The fields, and values of enums, that a schema lacks: a JSON list. Takes want, have and path. */}}
{{- define "berth.missingFields" -}}
{{- $path := .path }}
{{- $have := .have }}
{{- $missing := list }}
{{- range $name, $want := .want.properties | default dict }}
{{- $field := printf "%s.%s" $path $name }}
{{- with get ($have.properties | default dict) $name }}
{{- $missing = concat $missing (include "berth.missingFields" (dict "want" $want "have" . "path" $field) | fromJsonArray) }}
{{- else }}
{{- $missing = append $missing $field }}
{{- end }}
{{- end }}
{{- range .want.enum }}
{{- if and $have.enum (not (has . $have.enum)) }}{{ $missing = append $missing (printf "%s=%v" $path .) }}{{ end }}
{{- end }}
{{- with .want.items }}
{{- $missing = concat $missing (include "berth.missingFields" (dict "want" . "have" ($have.items | default dict) "path" (printf "%s[]" $path)) | fromJsonArray) }}
{{- end }}
{{- toJson $missing }}
{{- end }}
