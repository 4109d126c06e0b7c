package s3

import (
	"log/slog"

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

func (c *Config) provider() (*credentials.Credentials, error) {
	if c.Credentials.AccessKey == "" || c.Credentials.SecretKey == "" {
		return nil, invalid("no credentials: an access key and a secret key are needed")
	}
	return credentials.NewStaticV4(c.Credentials.AccessKey, c.Credentials.SecretKey, c.Credentials.SessionToken), nil
}
