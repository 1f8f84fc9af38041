//go:build !linux

package main

// releaseStartPages is for Linux, where berth is run in earnest.
func releaseStartPages() {}

// limitMemory is for containers.
func limitMemory() {}
