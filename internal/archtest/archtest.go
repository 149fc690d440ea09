// Package archtest guards the direction of imports. The rules stand in archtest_test.go,
// each with its reason; there is nothing here to call.
package archtest
