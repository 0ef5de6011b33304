# Numbers of mclust for the classifier, the directions and the trees; writes mclust_classes.json.
#   Rscript mclust_classes.R > mclust_classes.json
suppressMessages(library(mclust))
X <- as.matrix(iris[, 1:4]); y <- iris$Species
odd <- seq(1, 150, 2); even <- seq(2, 150, 2)
number <- function(v) paste0("[", paste(format(as.vector(v), digits = 12, trim = TRUE), collapse = ","), "]")
text <- function(v) paste0("\"", paste(v, collapse = ""), "\"")
named <- function(names, values) paste0("{", paste(paste0("\"", names, "\": ", values), collapse = ",\n"), "}")
families <- c("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
judged <- function(model) {
  train <- predict(model, X[odd, ]); test <- predict(model, X[even, ])
  named(c("log_likelihood", "df", "bic", "train_error", "test_error", "train_brier", "test_brier", "test_labels"),
    c(number(model$loglik), number(model$df), number(model$bic),
      number(mean(train$classification != y[odd])), number(mean(test$classification != y[even])),
      number(BrierScore(train$z, y[odd])), number(BrierScore(test$z, y[even])),
      text(as.integer(test$classification))))
}
edda <- sapply(families, function(f) judged(MclustDA(X[odd, ], y[odd], modelType = "EDDA", modelNames = f, verbose = FALSE)))
plain <- sapply(c("VVV", "VVI", "EEE", "VII"), function(f) judged(MclustDA(X[odd, ], y[odd], G = 1, modelNames = f, verbose = FALSE)))
chosen <- MclustDA(X[odd, ], y[odd], verbose = FALSE)
models <- sapply(chosen$models, function(m) paste0("[\"", m$modelName, "\", ", m$G, ", ", format(m$loglik, digits = 12), "]"))
two <- sapply(c("VVI", "VII", "EEE"), function(f) {
  m <- MclustDA(X[odd, ], y[odd], G = 2, modelNames = f, control = emControl(tol = 1e-10, itmax = 10000), verbose = FALSE)
  number(sapply(m$models, function(one) one$loglik))
})
ways <- c("EII", "VII", "EEE", "VVV")
trees <- sapply(ways, function(f) {
  tree <- hc(X, modelName = f, use = "VARS")
  named(2:5, sapply(2:5, function(k) text(hclass(tree, k))))
})
directions <- sapply(c(0.5, 1), function(weight) {
  model <- Mclust(X, G = 3, modelNames = "VVV", verbose = FALSE, control = emControl(tol = c(1e-12, 1e-12), itmax = c(10000, 10000)))
  found <- MclustDR(model, lambda = weight)
  named(c("eigenvalues", "basis", "log_likelihood"), c(number(found$evalues), number(found$basis), number(model$loglik)))
})
cv <- cvMclustDA(MclustDA(X, y, modelType = "EDDA", modelNames = "VVV", verbose = FALSE), nfold = 150, verbose = FALSE)
cat(named(c("provenance", "edda", "one_each", "chosen", "chosen_models", "two_each", "trees", "directions", "leave_one_out"), c(
  paste0("\"R ", getRversion(), ", mclust ", packageVersion("mclust"), "; iris, odd rows to fit and even rows to test; written by mclust_classes.R\""),
  named(families, edda), named(names(plain), plain), judged(chosen), named(names(models), models), named(names(two), two), named(ways, trees),
  named(c("0.5", "1"), directions), number(c(cv$ce, cv$brier)))), "\n")
