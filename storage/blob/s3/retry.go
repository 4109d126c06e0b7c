package s3

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/minio/minio-go/v7"

	"rookery"
)

// final is an error not worth another try.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

const firstPause = 100 * time.Millisecond

// try runs one request until it succeeds, fails for good, has had its
// attempts, or ctx ends. The store's "slow down" doubles the pauses.
func (s *Store) try(ctx context.Context, op, key string, repeatable bool, request func() error) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := ctx.Err()
		if err == nil {
			err = request()
		}
		if err == nil {
			return nil
		}
		kind, again := classify(err)
		if ctx.Err() != nil {
			kind, again = rookery.KindUnavailable, false
			err = errors.Join(ctx.Err(), err)
		}
		if !again || !repeatable || attempt >= s.cfg.Attempts {
			return fail(op, key, kind, attempt, err)
		}
		if slowDown(err) {
			pause *= 2
		}
		// Full jitter: many nodes that failed together must not come back together.
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.Int64N(int64(min(pause, s.cfg.RetryPause)))) + time.Millisecond):
		}
		pause *= 2
	}
}

// once ends the attempts of a conditional PUT: repeated after an answer that was
// lost, it would meet its own object and report it as another's.
func once(err error) error {
	if err == nil {
		return nil
	}
	kind, _ := classify(err)
	return final{rookery.E("", kind, err)}
}

// conflict is the store's certain word that two conditional PUTs met and this
// one wrote nothing.
func conflict(err error) bool {
	var e minio.ErrorResponse
	return errors.As(err, &e) && e.Code == "ConditionalRequestConflict"
}

func slowDown(err error) bool {
	var e minio.ErrorResponse
	return errors.As(err, &e) && (e.StatusCode == 503 || e.StatusCode == 429)
}

// classify gives an error its kind and whether the same request may succeed
// soon.
func classify(err error) (kind rookery.Kind, again bool) {
	var f final
	if errors.As(err, &f) {
		return rookery.KindOf(f.error), false
	}
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return rookery.KindUnavailable, true // the network, or an answer that cannot be read
	}
	switch e.Code {
	case "NoSuchKey", "NoSuchVersion":
		return rookery.KindNotFound, false
	case "NoSuchBucket", "RequestTimeTooSkewed":
		return rookery.KindUnavailable, false
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
		"TokenRefreshRequired", "AllAccessDisabled", "AccountProblem", "InvalidObjectState", "ObjectLocked":
		return rookery.KindDenied, false
	case "PreconditionFailed":
		return rookery.KindExists, false
	case "EntityTooLarge":
		return rookery.KindTooLarge, false
	case "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "RequestTimeout", "SlowDown", "InternalError",
		"ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted",
		"BadRequest": // the store could not parse it: a kept connection fell out of step
		return rookery.KindUnavailable, true
	case "AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect", "TemporaryRedirect", "InvalidBucketName":
		return rookery.KindUnavailable, false // settings are wrong: mend and go on
	}
	switch {
	case e.StatusCode >= 500 || e.StatusCode == 429 || e.StatusCode == 408 || e.StatusCode == 409:
		return rookery.KindUnavailable, e.StatusCode != 501
	case e.StatusCode == 401 || e.StatusCode == 403:
		return rookery.KindDenied, false
	}
	return rookery.KindUnavailable, false // unknown is temporary
}

// hints say what an operator can mend.
var hints = map[string]string{
	"NoSuchBucket":                 "create the bucket or correct the setting",
	"RequestTimeTooSkewed":         "this node's clock differs from the store's; start NTP",
	"AccessDenied":                 "the credentials lack a permission on this bucket",
	"InvalidAccessKeyId":           "check the access key",
	"SignatureDoesNotMatch":        "check the secret key and the region",
	"AuthorizationHeaderMalformed": "check the region",
	"InvalidRegion":                "check the region",
	"PermanentRedirect":            "check endpoint, region and addressing",
}

// fail words an error: what the store said, its code, status and request id,
// and the mend where one is known.
func fail(op, key string, kind rookery.Kind, attempts int, err error) error {
	var f final
	if errors.As(err, &f) {
		if err = f.error; errors.As(err, new(minio.ErrorResponse)) {
			err = errors.Unwrap(err)
		}
	}
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		text := fmt.Sprintf("%s: the store answered %s (HTTP %d, request id %s)", key, orNone(e.Code), e.StatusCode,
			orNone(e.RequestID))
		if e.Message != "" && e.Message != e.Code {
			text += fmt.Sprintf(": %.300s", e.Message)
		}
		if hint := hints[e.Code]; hint != "" {
			text += "; " + hint
		}
		err = &said{text, err}
	} else {
		err = fmt.Errorf("%s: %w", key, err)
	}
	if attempts > 1 {
		err = fmt.Errorf("after %d attempts: %w", attempts, err)
	}
	return rookery.E(op, kind, err)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// said is an error with a better text than its cause's.
type said struct {
	text  string
	cause error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.cause }
