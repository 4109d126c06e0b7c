// Package s3 keeps objects in a bucket of an S3-compatible store.
//
// It owns the connection to the store: credentials, TLS, time-outs, repeated
// requests, uploads in parts above 64 MiB, and the translation of the store's
// errors into kinds. It needs plain PUT, ranged GET, HEAD, DELETE and LIST,
// nothing more, and goes on without multipart uploads where there are none; what
// the store can do is found out by Probe. It never caches, sends no checksum trailers (many stores
// refuse them; content carries its own digests), and never logs a secret.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery"
	"rookery/storage/blob"
)

// MaxObject is the largest object, in bytes: S3's limit for one PUT. In parts
// it could be more.
const MaxObject = 5 << 30

// Config says where the bucket is. Endpoint, Bucket and credentials are
// required.
type Config struct {
	// Endpoint is the store's URL without a bucket: https://s3.example.com or,
	// for tests and trusted networks, http://127.0.0.1:9000.
	Endpoint string
	// Bucket must exist, see MakeBucket.
	Bucket string
	// Prefix is put before every key, for a bucket shared with others: parts
	// as in a key, without a slash at its end.
	Prefix string
	// Region signs the requests; default us-east-1.
	Region string
	// Addressing is "path" (https://host/bucket), "virtual"
	// (https://bucket.host) or "" (virtual for the clouds that need it, else
	// path).
	Addressing string
	// CAFile holds the PEM certificates to trust instead of the system's.
	CAFile string
	// Credentials sign the requests; required.
	Credentials Credentials

	// DialTimeout bounds connecting and the TLS handshake each (5 s),
	// ResponseTimeout the wait for an answer after a request was sent (30 s),
	// StallTimeout the time without a byte moving either way (35 s).
	DialTimeout, ResponseTimeout, StallTimeout time.Duration
	// Attempts is how often a request is tried in all (4), with jittered
	// pauses of 0.1 s doubling to RetryPause (5 s) between.
	Attempts   int
	RetryPause time.Duration
	// Connections bounds the connections to the store (64).
	Connections int
}

func (c *Config) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.DialTimeout, 5*time.Second)
	def(&c.ResponseTimeout, 30*time.Second)
	def(&c.StallTimeout, 35*time.Second)
	def(&c.RetryPause, 5*time.Second)
	if c.Attempts <= 0 {
		c.Attempts = 4
	}
	if c.Connections <= 0 {
		c.Connections = 64
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
}

// Store is a blob.Store in a bucket.
type Store struct {
	cfg    Config
	core   *minio.Core
	secure bool
	logger *slog.Logger
	close  func()

	singleDeletes atomic.Bool // the store refuses DeleteObjects
	wholeOnly     atomic.Bool // the store refuses multipart uploads
}

var _ blob.Store = (*Store)(nil)

// Open prepares the connection; it reads the files named by the Config and
// sends nothing, so a node starts while the store is away. KindInvalid names
// the setting that is wrong.
func Open(cfg Config, logger *slog.Logger) (*Store, error) {
	cfg.setDefaults()
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" ||
		u.User != nil || u.RawQuery != "" {
		return nil, invalid("endpoint: %q is not http(s)://host[:port]", redactURL(u, cfg.Endpoint))
	}
	if cfg.Bucket == "" {
		return nil, invalid("bucket: is empty; name a bucket that exists")
	}
	if cfg.Prefix != "" {
		if err := blob.CheckKey(cfg.Prefix); err != nil {
			return nil, invalid("prefix: %v", err)
		}
	}
	lookup, err := addressing(cfg.Addressing)
	if err != nil {
		return nil, err
	}
	creds, err := cfg.provider()
	if err != nil {
		return nil, err
	}
	var tlsConfig *tls.Config
	if u.Scheme == "https" {
		if tlsConfig, err = trust(cfg.CAFile); err != nil {
			return nil, err
		}
	}
	transport := newTransport(&cfg, tlsConfig)
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: creds, Secure: u.Scheme == "https", Transport: answers{transport}, Region: cfg.Region,
		BucketLookup: lookup, TrailingHeaders: false, MaxRetries: 1,
	})
	if err != nil {
		return nil, invalid("%v", err)
	}
	return &Store{cfg: cfg, core: core, secure: u.Scheme == "https", logger: logger.With("bucket", cfg.Bucket),
		close: transport.CloseIdleConnections}, nil
}

// Close drops idle connections; requests under way go on.
func (s *Store) Close() error { s.close(); return nil }

func invalid(format string, args ...any) error {
	return rookery.E("open object store", rookery.KindInvalid, fmt.Errorf(format, args...))
}

func redactURL(u *url.URL, raw string) string {
	if u == nil || u.User != nil || strings.Contains(raw, "@") {
		return "(not shown: it holds a user name or cannot be read)"
	}
	return raw
}

func addressing(s string) (minio.BucketLookupType, error) {
	switch s {
	case "":
		return minio.BucketLookupAuto, nil
	case "path":
		return minio.BucketLookupPath, nil
	case "virtual":
		return minio.BucketLookupDNS, nil
	}
	return 0, invalid(`addressing %q is none of "path", "virtual" and ""`, s)
}

func trust(file string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid("ca_file: %v; put the PEM file there, or name another", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, invalid("ca_file: %s holds no PEM certificate; put the PEM file of the authority there, or name another", file)
	}
	return cfg, nil
}

// name is the object's name in the bucket.
func (s *Store) name(key string) string {
	if s.cfg.Prefix == "" {
		return key
	}
	return s.cfg.Prefix + "/" + key
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	const op = "put object"
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if size < 0 || size > MaxObject {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("size %d is not within 0 and %d", size, int64(MaxObject)))
	}
	if size == 0 { // nothing would read the source
		if _, err := blob.Exactly(r, 0).Read(make([]byte, 1)); err != io.EOF {
			return err
		}
	}
	if size > maxSingle && !o.IfAbsent && !s.wholeOnly.Load() {
		err := s.putParts(ctx, key, r, size)
		if !errors.Is(err, errNoParts) {
			return err
		}
		s.logger.Warn("the object store knows no multipart uploads; large objects go up whole from now on", "error", err)
		s.wholeOnly.Store(true)
	}
	// Over TLS the transport protects the bytes on their way; signing them too
	// costs several times the CPU of the upload.
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true,
		DisableContentSha256: s.secure}
	if o.IfAbsent {
		opts.SetMatchETagExcept("*")
	}
	seeker, _ := r.(io.Seeker)
	var start int64
	if seeker != nil {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			seeker = nil
		}
	}
	first := true
	return s.try(ctx, op, key, seeker != nil, func() error {
		if !first {
			if _, err := seeker.Seek(start, io.SeekStart); err != nil {
				return final{rookery.E(op, rookery.KindInvalid, err)}
			}
		}
		first = false
		src := blob.Exactly(r, size)
		_, err := s.core.Client.PutObject(ctx, s.cfg.Bucket, s.name(key), src, size, opts)
		if cause := src.Err(); cause != nil && ctx.Err() == nil {
			return final{cause} // the client hides or garbles its source's error
		}
		if o.IfAbsent && !conflict(err) {
			return once(err)
		}
		return err
	})
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	var info minio.ObjectInfo
	err := s.try(ctx, "stat object", key, true, func() (err error) {
		info, err = s.core.StatObject(ctx, s.cfg.Bucket, s.name(key), minio.StatObjectOptions{})
		return err
	})
	if err == nil && info.Size < 0 {
		err = rookery.E("stat object", rookery.KindUnavailable, fmt.Errorf("%s: %w", key, errNoLength))
	}
	if err != nil {
		return blob.Info{}, err
	}
	return blob.Info{Key: key, Size: info.Size, Modified: info.LastModified}, nil
}

// errNoLength is an answer without the length of an object: nothing would tell
// a whole object from one that was cut off.
var errNoLength = errors.New("the store does not say how long the object is; is there a proxy that compresses or splits answers?")

// MakeBucket makes the bucket; one that exists and is ours is not an error.
func (s *Store) MakeBucket(ctx context.Context) error {
	return s.try(ctx, "make bucket", s.cfg.Bucket, true, func() error {
		err := s.core.MakeBucket(ctx, s.cfg.Bucket, minio.MakeBucketOptions{Region: s.cfg.Region})
		var e minio.ErrorResponse
		if errors.As(err, &e) && e.Code == "BucketAlreadyOwnedByYou" {
			return nil
		}
		return err
	})
}
