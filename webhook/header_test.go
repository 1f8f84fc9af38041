package webhook

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
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
	conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	header := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", MutatePath, maxBody+1)
	if _, err := io.WriteString(conn, header); err != nil {
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
	if response.StatusCode != http.StatusRequestEntityTooLarge || !response.Close {
		t.Errorf("%d, closed: %v", response.StatusCode, response.Close)
	}
}
