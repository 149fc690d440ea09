//go:build googlefhir

package bench

import (
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/googlefhir"
)

func fhirEngine() fhir.Engine {
	e, err := googlefhir.New(time.UTC)
	if err != nil {
		return nil
	}
	return e
}
