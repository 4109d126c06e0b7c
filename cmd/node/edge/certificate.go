package edge

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
)

// certificate serves the newest readable key pair of two files. It looks at
// the files again at most every checkEvery, within a handshake, so that a
// renewed certificate needs no signal and no restart.
type certificate struct {
	files  settings.TLSFiles
	logger *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	size int64
	time time.Time
}

const checkEvery = 10 * time.Second

func openCertificate(files settings.TLSFiles, logger *slog.Logger) (*certificate, error) {
	c := &certificate{files: files, logger: logger}
	if err := c.reload(); err != nil {
		return nil, rookery.E("read certificate", rookery.KindInvalid,
			fmt.Errorf("%w; set tls.certificate and tls.key to a matching pair of PEM files", err))
	}
	return c, nil
}

func (c *certificate) reload() error {
	stamp, err := c.stamps()
	if err != nil {
		return err
	}
	c.checked = time.Now()
	if c.pair != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.files.Certificate, c.files.Key)
	if err != nil {
		return err
	}
	if c.pair != nil {
		c.logger.Info("certificate read again", "file", c.files.Certificate, "valid_until", pair.Leaf.NotAfter)
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

func (c *certificate) stamps() (s [2]fileStamp, err error) {
	for i, path := range []string{c.files.Certificate, c.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return s, err
		}
		s[i] = fileStamp{info.Size(), info.ModTime()}
	}
	return s, nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) > checkEvery {
		// While the pair is half written the old one still serves.
		if err := c.reload(); err != nil {
			c.checked = time.Now()
			c.logger.Warn("certificate could not be read again; the old one stays in use", "error", err)
		}
	}
	return c.pair, nil
}

// ends is when the certificate in use ends; false before there is one.
func (c *certificate) ends() (time.Time, bool) {
	if c == nil {
		return time.Time{}, false
	}
	pair, _ := c.get(nil)
	return pair.Leaf.NotAfter, pair.Leaf != nil
}

// tlsConfig is what all mail listeners offer: TLS 1.2 for the devices that
// need it, and no client certificates.
func (c *certificate) tlsConfig() *tls.Config {
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12, CipherSuites: authenticated()}
}

// authenticated are the cipher suites of TLS 1.2 without the modes that only
// careful code makes safe (CBC); all of TLS 1.3 are such.
func authenticated() (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		if !strings.Contains(suite.Name, "_CBC_") {
			ids = append(ids, suite.ID)
		}
	}
	return ids
}

// relayTLS is what the relay listener offers: it asks for a client certificate,
// which may be anybody's, and lets old devices use what they know where that is
// allowed.
func (c *certificate) relayTLS(old func() bool) *tls.Config {
	now := c.tlsConfig()
	now.ClientAuth = tls.RequestClientCert
	before := now.Clone()
	before.MinVersion = tls.VersionTLS10
	for _, suite := range tls.CipherSuites() {
		before.CipherSuites = append(before.CipherSuites, suite.ID)
	}
	before.CipherSuites = append(before.CipherSuites, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA)
	pick := now.Clone()
	pick.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if old() {
			return before, nil
		}
		return now, nil
	}
	return pick
}
