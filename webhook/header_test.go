package webhook

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

func TestAContentTypeWithParametersIsJSONAllTheSame(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	for _, contentType := range []string{
		"application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON", `application/json; profile="x"`,
	} {
		input := badInput{method: http.MethodPost, contentType: contentType, body: createReview(tutorial)}
		if got := site.do(t, input.request(t, site.url+MutatePath)); got.code != http.StatusOK {
			t.Errorf("%s: %d %s", contentType, got.code, got.body)
		}
	}
}

func TestABodyThatClaimsToBeTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	review, _, _ := strings.Cut(createReview(tutorial), tutorial)
	for name, test := range map[string]struct {
		head string
		code int
	}{"a review": {review, http.StatusOK}, "no review": {"", http.StatusRequestEntityTooLarge}} {
		if code, closed := answerToHead(t, site, test.head+strings.Repeat(" ", 2*headSize)); code != test.code || !closed {
			t.Errorf("%s: %d, closed: %v", name, code, closed)
		}
	}
}

// answerToHead is what the server says to a body of which no more than its head arrives, and whether it hangs up.
func answerToHead(t *testing.T, site *site, head string) (code int, closed bool) {
	t.Helper()
	conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", MutatePath, maxBody+1)
	if _, err := io.WriteString(conn, header+head); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(readTimeout / 2)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode, response.Close
}
