// Package manifests reads YAML and JSON files, as they are kept in repositories or come out of helm template and kustomize build:
// DaemonSets, PlacementPolicies, Namespaces and Nodes, each with its place in its file.
//
//	read.go      files, folders and standard input
//	document.go  one file → its documents, each with the line where it begins
//	object.go    one document → objects of the API, and what is wrong with them
//	place.go     the path of a field → its line and column
package manifests
