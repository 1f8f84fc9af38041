package testbed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The users whose requests an AuditLog has.
const (
	BerthUser = "system:serviceaccount:berth-system:berth"
	AdminUser = "berth-testbed-admin"
)

// auditPolicy records the requests of berth's own ServiceAccount, and with what webhooks say of them the writes of
// DaemonSets.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: Metadata
    users: ["` + BerthUser + `"]
  - level: Metadata
    users: ["` + AdminUser + `"]
    verbs: [create, update, patch]
    resources: [{group: apps, resources: [daemonsets]}]
  - level: None
`

// AuditLog is where kube-apiserver writes down what berth asks of it, and what DaemonSets the administrator writes.
type AuditLog struct {
	// APIServerFlags make kube-apiserver write it.
	APIServerFlags []string

	file string // a JSON event a line
}

// NewAuditLog prepares a log in a folder.
func NewAuditLog(dir string) (AuditLog, error) {
	policy, file := filepath.Join(dir, "audit-policy.yaml"), filepath.Join(dir, "audit.log")
	flags := []string{"--audit-policy-file=" + policy, "--audit-log-path=" + file}
	return AuditLog{APIServerFlags: flags, file: file}, os.WriteFile(policy, []byte(auditPolicy), 0o600)
}

// AuditedRequest is what the log says of one request.
type AuditedRequest struct {
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct{ Username string }
	ObjectRef  struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	// ResponseStatus is not there yet while a watch goes on.
	ResponseStatus struct{ Code int }
	Annotations    map[string]string `json:"annotations"`
}

// Requests is those of a user that have had an answer, and the watches that have begun.
func (l AuditLog) Requests(user string) ([]AuditedRequest, error) {
	text, err := os.ReadFile(l.file)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	var requests []AuditedRequest
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var r AuditedRequest
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("read the audit log: %w", err)
		}
		if r.User.Username == user && (r.Stage == "ResponseComplete" || r.Stage == "ResponseStarted") {
			requests = append(requests, r)
		}
	}
	return requests, nil
}
