package imap

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// ports serves without and with implicit TLS.
func (s *stack) ports() (plain, secure string) {
	s.t.Helper()
	for _, under := range []bool{false, true} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { ln.Close() })
		go s.server.Serve(context.Background(), ln, Mode{TLS: under})
		port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
		if under {
			secure = port
		} else {
			plain = port
		}
	}
	return plain, secure
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

func TestPythonImaplib(t *testing.T) {
	python := program(t, "python3")
	s := newStack(t)
	s.file("ann", "INBOX", nested)
	plain, secure := s.ports()
	out, err := exec.Command(python, "testdata/interop.py", plain, secure).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("done")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestCurl(t *testing.T) {
	curl := program(t, "curl")
	s := newStack(t)
	s.file("ann", "INBOX", nested)
	plain, secure := s.ports()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(curl, append([]string{"-sSk", "-u", "ann:secret"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("curl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	has(t, run("imaps://127.0.0.1:"+secure+"/"), `"Sent Items"`)
	has(t, run("imaps://127.0.0.1:"+secure+"/INBOX;MAILINDEX=1"), "inner plain")
	has(t, run("imaps://127.0.0.1:"+secure+"/INBOX;UID=1;SECTION=2.1"), "inner plain")
	has(t, run("--ssl-reqd", "--login-options", "AUTH=LOGIN", "imap://127.0.0.1:"+plain+"/INBOX?TEXT%20inner"), "* SEARCH 1")
	file := filepath.Join(t.TempDir(), "hello.eml")
	if err := os.WriteFile(file, []byte(hello), 0o600); err != nil {
		t.Fatal(err)
	}
	run("-T", file, "imaps://127.0.0.1:"+secure+"/Drafts")
	has(t, run("-X", "STATUS Drafts (MESSAGES)", "imaps://127.0.0.1:"+secure+"/"), "MESSAGES 1")
}
