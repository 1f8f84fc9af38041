{{/* What the release and the cluster must be like, said before anything is written. */}}
{{- define "berth.requirements" -}}
{{- include "berth.namespaceOfItsOwn" . }}
{{- include "berth.portsThatDiffer" . }}
{{- include "berth.networkPolicyThatActs" . }}
{{- include "berth.onlyOne" . }}
{{- include "berth.knownFields" . }}
{{- end }}

{{/* berth may write every Lease of its namespace, and the ResourceQuota would be one for the control plane's pods. */}}
{{- define "berth.namespaceOfItsOwn" -}}
{{- if has .Release.Namespace (list "kube-system" "kube-public" "kube-node-lease") }}
{{- fail (printf "berth cannot be in %s: it may write every Lease of its namespace, and a ResourceQuota there limits critical pods. Give it a namespace of its own: -n berth-system --create-namespace" .Release.Namespace) }}
{{- end }}
{{- end }}

{{- define "berth.portsThatDiffer" -}}
{{- $ports := list }}
{{- range list "webhook" "metrics" "health" }}
{{- $ports = append $ports (include "berth.port" (dict "root" $ "name" .) | trim) }}
{{- end }}
{{- if ne (len (uniq $ports)) 3 }}
{{- fail (printf "ports.webhook, ports.metrics and ports.health must differ: they are %s, %s and %s" (index $ports 0) (index $ports 1) (index $ports 2)) }}
{{- end }}
{{- end }}

{{/* Most network plugins take pods of the host network for their node, which no NetworkPolicy selects. */}}
{{- define "berth.networkPolicyThatActs" -}}
{{- if and .Values.hostNetwork .Values.networkPolicy.enabled }}
{{- fail "networkPolicy.enabled cannot be relied on with hostNetwork: most network plugins apply no NetworkPolicy to pods of the host network. Set one of them to false, and limit who reaches the nodes' ports by a firewall" }}
{{- end }}
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
