//go:build !googlefhir

package bench

import "github.com/emrbridge/emrbridge/adapters/fhir"

func fhirEngine() fhir.Engine { return nil }
