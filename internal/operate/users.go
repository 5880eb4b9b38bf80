package operate

import (
	"errors"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/account"
)

// User is an account as lists show it.
type User struct {
	Name     string    `json:"name"`
	Operator bool      `json:"operator"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"` // of the password
}

// UserEnd is an account after a change that ended its sessions, when no node admits them any more.
type UserEnd struct {
	User
	Ended
}

// NewUser asks for an account.
type NewUser struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Operator bool   `json:"operator"`
}

// NewPassword asks for another password.
type NewPassword struct {
	Password string `json:"password"`
}

func user(a *account.Account) User {
	return User{a.Name, a.Operator, a.Disabled, a.Created, a.Changed}
}

func (o *Operations) users(r *http.Request) (any, error) {
	all := []User{}
	for a, err := range o.Accounts.All(r.Context()) {
		if err != nil {
			return nil, err
		}
		all = append(all, user(a))
	}
	return all, nil
}

func (o *Operations) addUser(r *http.Request) (any, error) {
	var in NewUser
	if err := read(r, &in); err != nil {
		return nil, err
	}
	a, err := o.Accounts.Add(r.Context(), in.Name, in.Password, in.Operator)
	if errors.Is(err, account.ErrExists) {
		return nil, failed("there is a user %s already; `counterfoil user passwd` gives another password", in.Name)
	}
	if err != nil {
		return nil, err
	}
	return user(a), nil
}

func (o *Operations) setPassword(r *http.Request) (any, error) {
	var in NewPassword
	if err := read(r, &in); err != nil {
		return nil, err
	}
	a, rv, err := o.Accounts.SetPassword(r.Context(), o.Sessions, r.PathValue("name"), in.Password)
	return userEnd(r, a, rv, err)
}

func (o *Operations) disable(r *http.Request) (any, error) {
	a, rv, err := o.Accounts.SetDisabled(r.Context(), o.Sessions, r.PathValue("name"), true)
	return userEnd(r, a, rv, err)
}

func (o *Operations) enable(r *http.Request) (any, error) {
	a, _, err := o.Accounts.SetDisabled(r.Context(), o.Sessions, r.PathValue("name"), false)
	if errors.Is(err, account.ErrNotFound) {
		return nil, noUser(r.PathValue("name"))
	}
	if err != nil {
		return nil, err
	}
	return user(a), nil
}

// userEnd waits until a change of an account is in force everywhere: who disables somebody wants him
// out when the command returns.
func userEnd(r *http.Request, a *account.Account, rv counterfoil.Revocation, err error) (any, error) {
	if errors.Is(err, account.ErrNotFound) {
		return nil, noUser(r.PathValue("name"))
	}
	if err != nil {
		return nil, err
	}
	out := UserEnd{user(a), Ended{Ended: rv.Ended}}
	return out, out.wait(r, rv)
}

func noUser(name string) error {
	return notFound("there is no user %s; `counterfoil user list` shows all", name)
}
