package s3

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Credentials sign the requests. They print as their access key only.
type Credentials struct {
	AccessKey    string
	SecretKey    string
	SessionToken string // only with temporary credentials
}

// String hides the secrets.
func (c Credentials) String() string { return "access key " + c.AccessKey + ", secret hidden" }

// GoString hides the secrets.
func (c Credentials) GoString() string { return c.String() }

// LogValue hides the secrets.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// EnvCredentials takes the credentials from ROOKERY_S3_ACCESS_KEY,
// ROOKERY_S3_SECRET_KEY and ROOKERY_S3_SESSION_TOKEN, else from the AWS_…
// variables of the same meaning; getenv is os.Getenv.
func EnvCredentials(getenv func(string) string) Credentials {
	if key := getenv("ROOKERY_S3_ACCESS_KEY"); key != "" {
		return Credentials{key, getenv("ROOKERY_S3_SECRET_KEY"), getenv("ROOKERY_S3_SESSION_TOKEN")}
	}
	return Credentials{getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")}
}

// ReadCredentials reads a file of lines name = value with the names access_key,
// secret_key and session_token, or the aws_… names of an AWS credentials file
// (its first section). # starts a comment.
func ReadCredentials(file string) (Credentials, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Credentials{}, invalid("credentials file: %v", err)
	}
	c, err := parseCredentials(b)
	if err != nil {
		return c, invalid("credentials file %s: %v", file, err)
	}
	return c, nil
}

func parseCredentials(b []byte) (c Credentials, err error) {
	lines, sections := bufio.NewScanner(bytes.NewReader(b)), 0
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			if sections++; sections > 1 {
				break
			}
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return c, fmt.Errorf("line %d is not name = value", n) // never shown: it may be a secret
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "access_key", "aws_access_key_id":
			c.AccessKey = value
		case "secret_key", "aws_secret_access_key":
			c.SecretKey = value
		case "session_token", "aws_session_token":
			c.SessionToken = value
		}
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		return Credentials{}, fmt.Errorf("needs access_key and secret_key")
	}
	return c, nil
}

func (c *Config) provider() (*credentials.Credentials, error) {
	if c.CredentialsFile == "" {
		if c.Credentials.AccessKey == "" || c.Credentials.SecretKey == "" {
			return nil, invalid("no credentials: set a credentials file or ROOKERY_S3_ACCESS_KEY and ROOKERY_S3_SECRET_KEY")
		}
		return credentials.NewStaticV4(c.Credentials.AccessKey, c.Credentials.SecretKey, c.Credentials.SessionToken), nil
	}
	if _, err := ReadCredentials(c.CredentialsFile); err != nil {
		return nil, err
	}
	return credentials.New(&fileProvider{file: c.CredentialsFile}), nil
}

// fileProvider reads the file again when it has changed, looking at most every
// rereadEvery, so that keys are rotated without a restart.
type fileProvider struct {
	file string

	mu      sync.Mutex
	last    credentials.Value
	changed time.Time
	checked time.Time
}

const rereadEvery = 30 * time.Second

// Retrieve implements credentials.Provider. A file that has become unreadable
// leaves the last good credentials in use.
func (p *fileProvider) Retrieve() (credentials.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checked = time.Now()
	info, err := os.Stat(p.file)
	var c Credentials
	if err == nil {
		c, err = ReadCredentials(p.file)
	}
	if err != nil {
		if p.last.AccessKeyID != "" {
			return p.last, nil
		}
		return credentials.Value{}, err
	}
	p.changed = info.ModTime()
	p.last = credentials.Value{AccessKeyID: c.AccessKey, SecretAccessKey: c.SecretKey, SessionToken: c.SessionToken,
		SignerType: credentials.SignatureV4}
	return p.last, nil
}

// RetrieveWithCredContext implements credentials.Provider.
func (p *fileProvider) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return p.Retrieve()
}

// IsExpired implements credentials.Provider.
func (p *fileProvider) IsExpired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.checked) < rereadEvery {
		return false
	}
	p.checked = time.Now()
	info, err := os.Stat(p.file)
	return err == nil && !info.ModTime().Equal(p.changed)
}
