//go:build !linux

package main

// limitMemory is for containers.
func limitMemory() {}
