package webhook

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

// What a client writes is shown, in answers and in the log, as far as anybody would read it.
func TestNoTextOfAClientsFillsAnAnswerOrTheLog(t *testing.T) {
	const size = 3 << 20
	long := strings.Repeat("x", size)
	deleted := strings.Repeat("\x7f", size)
	denied := createReview(replaceOnce(t, tutorial, `"containers":`, `"nodeName":"n-1","containers":`))
	for name, body := range map[string]string{
		"apiVersion":    replaceOnce(t, denied, "admission.k8s.io/v1", deleted),
		"kind":          replaceOnce(t, denied, "AdmissionReview", deleted),
		"the operation": replaceOnce(t, denied, "CREATE", deleted),
		"the UID":       replaceOnce(t, denied, testUID, long),
		"the user":      replaceOnce(t, denied, "alice", long),
		"the name":      strings.ReplaceAll(denied, "example-daemonset", long),
		"the namespace": replaceOnce(t, denied, `"namespace":"default","op`, `"namespace":"`+long+`","op`),
		"a label's key": replaceOnce(t, denied, `"labels":{"app":"example"}`, `"labels":{"`+long+`":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			facts := newFacts(t, ownLabel)
			facts.live = nil
			site := serve(t, facts, funcr.New(func(_, args string) { log.WriteString(args) }, funcr.Options{}))
			got := site.post(t, MutatePath, body)
			if got.code != http.StatusOK && got.code != http.StatusBadRequest {
				t.Errorf("%d", got.code)
			}
			if len(got.body) > 16<<10 || log.Len() > 16<<10 {
				t.Errorf("%d: an answer of %d bytes, %d in the log", got.code, len(got.body), log.Len())
			}
		})
	}
}
