package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"berth.dev/berth/certs"
)

// pemPair is a self-signed certificate with the given common name, and its key.
func pemPair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files is a folder with a pair, a source that serves it, and its log.
type files struct {
	cert, key string
	source    *certs.FileSource
	log       *syncBuffer
}

// syncBuffer is a buffer that two goroutines may use.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func loggerTo(b *syncBuffer) logr.Logger { return logr.FromSlogHandler(slog.NewTextHandler(b, nil)) }

func (b *syncBuffer) errors() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), "level=ERROR")
}

func serve(t *testing.T, certPath, keyPath string) *files {
	t.Helper()
	f := &files{cert: certPath, key: keyPath, log: &syncBuffer{}}
	source, err := certs.NewFileSource(f.cert, f.key, slog.New(slog.NewTextHandler(f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.source = source
	go func() {
		if err := source.Start(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	return f
}

func serveNew(t *testing.T, name string) *files {
	t.Helper()
	dir := t.TempDir()
	certPath, keyPath := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	cert, key := pemPair(t, name)
	write(t, certPath, cert)
	write(t, keyPath, key)
	return serve(t, certPath, keyPath)
}

func (f *files) served(t *testing.T) string {
	t.Helper()
	cert, err := f.source.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if !f.source.Healthy() {
		t.Error("a source that serves says that it is not healthy")
	}
	return cert.Leaf.Subject.CommonName
}

// pass lets the source look at the files once more.
func pass() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

func TestAChangedPairIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serveNew(t, "old")
		cert, key := pemPair(t, "new")
		write(t, f.cert, cert)
		write(t, f.key, key)
		pass()
		if got := f.served(t); got != "new" {
			t.Errorf("served %q after the files changed", got)
		}
	})
}

func TestASecretsSymlinkSwapIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		version := func(folder, name string) {
			if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
				t.Fatal(err)
			}
			cert, key := pemPair(t, name)
			write(t, filepath.Join(dir, folder, "tls.crt"), cert)
			write(t, filepath.Join(dir, folder, "tls.key"), key)
		}
		link := func(to, at string) {
			if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
				t.Fatal(err)
			}
		}
		version("..1", "old")
		link("..1", "..data")
		link("..data/tls.crt", "tls.crt")
		link("..data/tls.key", "tls.key")
		f := serve(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))

		version("..2", "new")
		link("..2", "..data_tmp")
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
			t.Fatal(err)
		}
		pass()
		if got := f.served(t); got != "new" {
			t.Errorf("served %q after the kubelet's swap", got)
		}
	})
}

func TestABrokenPairLeavesTheOldOneServed(t *testing.T) {
	newCert, newKey := pemPair(t, "new")
	tests := map[string]func(t *testing.T, f *files){
		"a certificate without its key": func(t *testing.T, f *files) { write(t, f.cert, newCert) },
		"half a certificate":            func(t *testing.T, f *files) { write(t, f.cert, newCert[:len(newCert)/2]) },
		"empty files": func(t *testing.T, f *files) {
			write(t, f.cert, nil)
			write(t, f.key, nil)
		},
		"no key file": func(t *testing.T, f *files) {
			if err := os.Remove(f.key); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serveNew(t, "old")
				spoil(t, f)
				pass()
				if got := f.served(t); got != "old" {
					t.Errorf("served %q with broken files", got)
				}
				pass()
				pass()
				pass()
				if got := f.log.errors(); got != 1 {
					t.Errorf("a lasting fault is in the log %d times, not once:\n%s", got, &f.log.b)
				}

				write(t, f.cert, newCert)
				write(t, f.key, newKey)
				pass()
				if got := f.served(t); got != "new" {
					t.Errorf("served %q after the files were mended", got)
				}
			})
		})
	}
}

func TestAPairCaughtHalfWrittenIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serveNew(t, "old")
		cert, key := pemPair(t, "new")
		write(t, f.cert, cert)
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		write(t, f.key, key)
		pass()
		if got := f.served(t); got != "new" {
			t.Errorf("served %q after the files changed", got)
		}
		if got := f.log.errors(); got != 0 {
			t.Errorf("an ordinary rotation logged %d errors:\n%s", got, &f.log.b)
		}
	})
}

func TestAWrongPathIsFoundAtTheStart(t *testing.T) {
	dir := t.TempDir()
	_, err := certs.NewFileSource(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "tls.crt: no such file") {
		t.Errorf("a source on missing files: %v", err)
	}
}
