# Makes mclust_inference.json: standard errors and likelihood-ratio tests of R's mclust.
# Run with `Rscript mclust_inference.R > mclust_inference.json` (mclust 6.0.0, about two minutes).
suppressMessages(library(mclust))

numbers <- function(x, digits = 10) {
  if (is.matrix(x)) {
    return(paste0("[", paste(apply(x, 1, numbers), collapse = ", "), "]"))
  }
  paste0("[", paste(formatC(unname(x), digits = digits, format = "g"), collapse = ", "), "]")
}
entry <- function(name, value) paste0('"', name, '": ', value)
object <- function(...) paste0("{", paste(c(...), collapse = ",\n "), "}")

# Row 104 of the data set is 75, 455, 392 in Reaven & Miller (1979); the package had 45 for 455.
rows <- as.matrix(diabetes[, c("glucose", "insulin", "sspg")])
rows[104, "insulin"] <- 455

fits <- lapply(1:4, function(k) Mclust(rows, G = k, modelNames = "VVV", verbose = FALSE))
set.seed(1)
test <- mclustBootstrapLRT(rows, modelName = "VVV", nboot = 999, verbose = FALSE)

faithful_fit <- Mclust(faithful, G = 2, modelNames = "VVV", verbose = FALSE)
errors <- function(type) {
  set.seed(1)
  found <- MclustBootstrap(faithful_fit, nboot = 4999, type = type, verbose = FALSE)
  se <- summary(found, what = "se")
  object(
    entry("weights", numbers(se$pro)),
    entry("means", numbers(t(se$mean))),
    entry("variances", numbers(t(apply(se$variance, 3, diag))))
  )
}

cat(object(
  entry("source", '"mclust 6.0.0, mclust_inference.R"'),
  entry("diabetes", numbers(rows)),
  entry("diabetes_log_likelihood", numbers(sapply(fits, function(fit) fit$loglik), 12)),
  entry("diabetes_labels", paste0("[", paste(sapply(fits, function(fit)
    numbers(fit$classification - 1)), collapse = ",\n"), "]")),
  entry("lrt_statistic", numbers(test$obs)),
  entry("lrt_p_value", numbers(test$p.value)),
  entry("faithful_bootstrap", object(
    entry("nonparametric", errors("bs")),
    entry("weighted", errors("wlbs")),
    entry("parametric", errors("pb")),
    entry("jackknife", errors("jk"))
  ))
), "\n")
