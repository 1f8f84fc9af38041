package webhook

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

// A header line of four bytes takes more than a hundred in memory.
func TestAHeaderThatDoesNotEndTakesLittleMemory(t *testing.T) {
	const connections, limit = 50, 192 << 10
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	var open []io.Writer
	for range connections {
		conn, err := site.dial(t, &tls.Config{MinVersion: tls.VersionTLS13})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	before := heap()
	header := "POST " + MutatePath + " HTTP/1.1\r\nHost: berth\r\n" + shortLines(maxHeaderBytes+4096)
	for _, conn := range open {
		if _, err := io.WriteString(conn, header[:maxHeaderBytes+4096-10]); err != nil {
			t.Fatal(err)
		}
	}
	var most uint64
	for end := time.Now().Add(readHeaderTimeout / 2); time.Now().Before(end); time.Sleep(readHeaderTimeout / 20) {
		most = max(most, heap())
	}
	if most > before+connections*limit {
		t.Errorf("each takes %d bytes, more than %d", (most-before)/connections, limit)
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// shortLines are as many header lines as there can be, of names that differ.
func shortLines(size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+.^_`|~"
	var lines []byte
	for i := 0; len(lines) < size; i++ {
		if i < len(letters)*len(letters) {
			lines = fmt.Appendf(lines, "%c%c:\n", letters[i%len(letters)], letters[i/len(letters)])
		} else {
			lines = fmt.Appendf(lines, "%x:\n", i)
		}
	}
	return string(lines)
}

func TestAHeaderMayHaveAToken(t *testing.T) {
	site := serve(t, newFacts(t, ownLabel), logr.Discard())
	input := badInput{method: http.MethodPost, contentType: "application/json", body: createReview(tutorial)}
	for size, want := range map[int]int{3 << 10: http.StatusOK, 8 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request := input.request(t, site.url+MutatePath)
		request.Header.Set("Authorization", "Bearer "+strings.Repeat("x", size))
		if got := site.do(t, request); got.code != want {
			t.Errorf("a token of %d bytes: %d, want %d", size, got.code, want)
		}
	}
}
