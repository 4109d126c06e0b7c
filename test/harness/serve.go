package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Serve is a `rookery serve` with slapd as directory and an S3 server as object
// store.
type Serve struct {
	Node Node
	CA   string
	Dir  string // holds everything
	// LDAPS is the URL of slapd, LDAPCA its authority, Endpoint and Bucket the
	// object store.
	LDAPS, LDAPCA, Endpoint, Bucket string

	bin  string
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan error
}

// S3 is the endpoint of the S3 server for tests, or skips the test.
func S3(t testing.TB) string {
	t.Helper()
	endpoint := os.Getenv("ROOKERY_TEST_S3")
	if endpoint == "" {
		t.Skip("skipped: ROOKERY_TEST_S3 names no S3 server (make test starts one)")
	}
	return endpoint
}

// Bucket makes a bucket of its own for the test.
func Bucket(t testing.TB, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4("testuser", "secretsecret", ""), Secure: u.Scheme == "https"})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("rookery-%d", time.Now().UnixNano())
	if err := c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// PrepareServe starts slapd, makes a bucket,
// a certificate and a node file. Nothing of the product has run yet.
func PrepareServe(t testing.TB) *Serve {
	t.Helper()
	script := Script(t, "run-slapd.sh")
	endpoint := S3(t)
	bucket := Bucket(t, endpoint)
	// Unix sockets and slapd want short paths.
	dir, err := os.MkdirTemp("", "rk-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ldap := FreePorts(t, 2)
	run(t, "bash", script, "start", filepath.Join(dir, "slapd"), fmt.Sprint(ldap), fmt.Sprint(ldap+1), "20")
	t.Cleanup(func() { run(t, "bash", script, "stop", filepath.Join(dir, "slapd")) })

	s := &Serve{
		Dir: dir, bin: Binary(t), CA: filepath.Join(dir, "cert.pem"), Endpoint: endpoint, Bucket: bucket,
		LDAPS: fmt.Sprintf("ldaps://127.0.0.1:%d", ldap+1), LDAPCA: filepath.Join(dir, "slapd", "tls", "ca.pem"),
	}
	s.Certify(t)
	s.writeConfig(t)
	return s
}

// Certify makes the certificate of the mail listeners anew.
func (s *Serve) Certify(t testing.TB) {
	t.Helper()
	run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
		"/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", filepath.Join(s.Dir, "key.pem"), "-out", s.CA)
}

// StartServe is PrepareServe and a node that is set up by its command line
// alone, until the test ends. What was prepared may be adjusted in between.
func StartServe(t testing.TB, adjust ...func(*Serve)) *Serve {
	t.Helper()
	s := PrepareServe(t)
	for _, fn := range adjust {
		fn(s)
	}
	s.init(t, fmt.Sprintf(`domains = ["example.test"]
[store]
kind = "s3"
endpoint = %q
bucket = %q
region = "us-east-1"
access_key = "testuser"
secret_key = "secretsecret"
[directories.main]
urls = [%q]
ca_file = %q
bind_dn = "cn=mail,ou=services,dc=example,dc=test"
password = "svc"
base = "dc=example,dc=test"
profile = "openldap"
`, s.Endpoint, s.Bucket, s.LDAPS, s.LDAPCA))
	s.Run(t)
	return s
}

// Run starts the node that was set up, until the test ends.
func (s *Serve) Run(t testing.TB) {
	t.Helper()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", tail(s.log.String(), 8000))
		}
	})
}

func (s *Serve) writeConfig(t testing.TB) {
	base := FreePorts(t, 8)
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", base+i) }
	s.Node = Node{Name: "serve", SMTP: at(0), Submission: at(1), Submissions: at(2), IMAP: at(3), IMAPS: at(4), POP3: at(5), POP3S: at(6)}
	text := fmt.Sprintf("name = \"one\"\nhostname = \"localhost\"\ndata_dir = %q\n[cluster]\nlisten = %q\n[tls]\ncertificate = "+
		"%q\nkey = %q\n[listen]\n",
		filepath.Join(s.Dir, "data"), at(7), s.CA, filepath.Join(s.Dir, "key.pem"))
	for i, name := range []string{"smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"} {
		text += fmt.Sprintf("%s = [%q]\n", name, at(i))
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "rookery.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// init begins the cluster, as its operator would.
func (s *Serve) init(t testing.TB, settings string) {
	t.Helper()
	path := filepath.Join(s.Dir, "settings.toml")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	out := run(t, s.bin, "init", "-config", filepath.Join(s.Dir, "rookery.toml"), "-settings", path, "-kit", filepath.Join(s.Dir, "kit.json"))
	if strings.Contains(out, "secretsecret") {
		t.Errorf("init printed a secret: %s", out)
	}
}

// Start runs the process and waits until it serves.
func (s *Serve) Start() error {
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command(s.bin, "serve", "-config", filepath.Join(s.Dir, "rookery.toml"))
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(s.cmd, s.done)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return Poll(ctx, func() (bool, error) {
		select {
		case err := <-s.done:
			s.cmd = nil
			return false, fmt.Errorf("rookery serve ended: %v\n%s", err, s.log)
		default:
		}
		c, err := net.Dial("tcp", s.Node.POP3S)
		if err != nil {
			return false, nil
		}
		return true, c.Close()
	})
}

// Stop ends the process with SIGTERM; its exit code must be 0.
func (s *Serve) Stop() error {
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-s.done:
		s.cmd = nil
		return err
	case <-time.After(time.Minute):
		s.cmd.Process.Kill()
		<-s.done
		s.cmd = nil
		return errors.New("did not stop within a minute of SIGTERM")
	}
}

// Restart is Stop and Start.
func (s *Serve) Restart() error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Start()
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
