package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"

	"github.com/counterfoil/counterfoil"
)

// CreateContainer makes the container that an azblob DSN names.
func CreateContainer(ctx context.Context, dsn string) error {
	p, err := ParseDSN(dsn)
	if err != nil {
		return err
	}
	a, err := openAzure(p, Options{Clock: counterfoil.SystemClock(), Getenv: os.Getenv})
	if err != nil {
		return err
	}
	defer a.close()
	x, err := a.send(ctx, http.MethodPut, a.container, url.Values{"restype": {"container"}}, nil, nil)
	if err == nil && x.status != http.StatusCreated {
		err = fmt.Errorf("creating a container: %d %s", x.status, x.body)
	}
	return err
}

// CreateOnce has many create one object at the same moment, each with text of its own, and returns
// how many were told that they did, and whether the object is theirs.
func CreateOnce(ctx context.Context, dsn, name string, many int) (won int, theirs bool, err error) {
	p, err := ParseDSN(dsn)
	if err != nil {
		return 0, false, err
	}
	b, err := p.open(Options{Clock: counterfoil.SystemClock(), Getenv: os.Getenv})
	if err != nil {
		return 0, false, err
	}
	defer b.close()
	errs := make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { errs[i] = b.create(ctx, probeDir+name, fmt.Append(nil, i)) })
	}
	wg.Wait()
	data, err := b.get(ctx, probeDir+name)
	for i, e := range errs {
		switch {
		case e == nil:
			won++
			theirs = string(data) == fmt.Sprint(i)
		case !errors.Is(e, errTaken) && !errors.As(e, &temporary{}):
			err = e
		}
	}
	return won, theirs, err
}
