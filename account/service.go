package account

import (
	"context"
	"iter"
	"net/netip"

	"github.com/counterfoil/counterfoil"
)

// Service is what is done with accounts: the rules above a Store. (skeleton)
type Service struct{}

// Config of a Service.
type Config struct {
	Store  Store
	Clock  counterfoil.Clock
	Hasher *Hasher // nil: argon2id with the defaults
}

// Hasher does argon2id with bounded concurrency and memory. (skeleton)
type Hasher struct{}

func NewService(cfg Config) (*Service, error) { panic("skeleton") }

// Verify checks a password under limits per account and per address. An unknown user costs the same.
// ErrWrong, ErrDisabled is never told apart from ErrWrong to the visitor; *LimitError says when to try again.
func (s *Service) Verify(ctx context.Context, name, password string, from netip.Addr) (*Account, error) {
	panic("skeleton")
}
func (s *Service) Add(ctx context.Context, name, password string, operator bool) (*Account, error) {
	panic("skeleton")
}
func (s *Service) AddFirst(ctx context.Context, code, name, password string) (*Account, error) {
	panic("skeleton")
}
func (s *Service) SetupCode(ctx context.Context) (code string, err error) { panic("skeleton") }

// SetPassword writes the credential with its next epoch and then ends the subject's sessions of a
// lower epoch (R14), repeating until the outcome is known.
func (s *Service) SetPassword(ctx context.Context, m *counterfoil.Manager, name, password string) (*Account, error) {
	panic("skeleton")
}
func (s *Service) SetDisabled(ctx context.Context, m *counterfoil.Manager, name string, disabled bool) (*Account, error) {
	panic("skeleton")
}
func (s *Service) Get(ctx context.Context, name string) (*Account, error) { panic("skeleton") }
func (s *Service) All(ctx context.Context) iter.Seq2[*Account, error]     { panic("skeleton") }
