package inforce

import (
	"context"

	"rookery/cmd/node/settings"
)

// SealedAnew reports whether all secrets are sealed under the version of the
// settings key in use here.
func (s *Settings) SealedAnew() (bool, error) {
	version, doc, err := s.system.Settings()
	if err != nil || version == 0 {
		return err == nil, err
	}
	set, err := settings.Parse(doc)
	if err != nil {
		return false, err
	}
	anew := true
	err = set.EachSecret(func(_ string, v *string) error {
		anew = anew && (*v == "" || s.o.Sealer.IsCurrent(*v))
		return nil
	})
	return anew, err
}

// SealAnew seals all secrets under the version of the settings key in use here.
func (s *Settings) SealAnew(ctx context.Context) error {
	set, version, err := s.Read(ctx)
	if err == nil {
		_, err = s.Write(ctx, set, version)
	}
	return err
}
