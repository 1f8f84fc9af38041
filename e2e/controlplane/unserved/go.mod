// Stands for modules that k8s.io/kubernetes requires, that no program of a control plane imports and that no proxy serves.
module berth.dev/berth/e2e/controlplane/unserved

go 1.26.0
