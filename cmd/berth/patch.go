package main

import (
	"fmt"

	"github.com/aymanbagabas/go-udiff"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"berth.dev/berth/report"
)

// patchedBy is the object after berth's JSON patch.
func patchedBy(patch, raw []byte) ([]byte, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("decode berth's own patch: %w", err)
	}
	patched, err := operations.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("apply berth's own patch: %w", err)
	}
	return patched, nil
}

// unifiedDiff compares two objects as YAML.
func unifiedDiff(file string, before, after []byte) (string, error) {
	from, err := report.YAML(before)
	if err != nil {
		return "", err
	}
	to, err := report.YAML(after)
	if err != nil {
		return "", err
	}
	return udiff.Unified(file, file+" with berth", string(from), string(to)), nil
}
