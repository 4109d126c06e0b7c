package signing

import (
	"context"
	"slices"
)

// SealedAnew reports whether all private keys are sealed under the version of the
// settings key in use here.
func (s *Service) SealedAnew() (bool, error) {
	all, err := s.o.Keys.SigningKeys()
	for _, x := range all {
		for _, k := range x.Keys {
			if !s.o.Sealer.IsCurrent(k.Sealed) {
				return false, err
			}
		}
	}
	return err == nil, err
}

// SealAnew seals all private keys under the version of the settings key in use
// here.
func (s *Service) SealAnew(ctx context.Context) error {
	all, err := s.o.Keys.SigningKeys()
	if err != nil {
		return err
	}
	for _, x := range all {
		keys := slices.Clone(x.Keys)
		for i, k := range keys {
			if s.o.Sealer.IsCurrent(k.Sealed) {
				continue
			}
			der, err := s.o.Sealer.Open(place(x.Domain, k.Selector), k.Sealed)
			if err != nil {
				return err
			}
			if keys[i].Sealed, err = s.o.Sealer.Seal(place(x.Domain, k.Selector), der); err != nil {
				return err
			}
		}
		if slices.Equal(keys, x.Keys) {
			continue
		}
		if err := s.set(ctx, x.Domain, x.Version, keys); err != nil {
			return err
		}
	}
	return nil
}
