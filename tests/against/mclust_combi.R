# Merging of components by entropy with mclust 6.0.0 on Old Faithful and iris: run from the root as
#   Rscript tests/against/mclust_combi.R > tests/against/mclust_combi.json
# For each fit: its parameters, which two clusters each step merges, and the entropies, which are
# recomputed here from the responsibilities it returns for 1..k clusters.
suppressMessages(library(mclust))

entropy <- function(z) -sum(ifelse(z > 0, z * log(z), 0))
text <- function(x) sprintf("[%s]", paste(sprintf("%.15g", x), collapse = ", "))

one <- function(name, X, k, model) {
  fit <- Mclust(X, G = k, modelNames = model, verbose = FALSE,
                control = emControl(tol = c(1e-13, 1e-13), itmax = c(1e5, 1e5)))
  combined <- clustCombi(fit)
  steps <- sapply((k - 1):1, function(g) {
    map <- combined$combiM[[g]]           # (g, g + 1): which clusters make which
    which(map[rowSums(map) == 2, ] == 1)  # the two that are merged, among g + 1
  })
  optim <- clustCombiOptim(combined, reg = 2)
  sprintf(
    paste0('{"data": "%s", "k": %d, "model": "%s", "weights": %s, "means": %s, ',
           '"covariances": %s, "steps": %s, "entropy": %s, "suggested": %d}'),
    name, k, model, text(fit$parameters$pro), text(fit$parameters$mean),
    text(fit$parameters$variance$sigma), text(steps),
    text(sapply(combined$combiz, entropy)), optim$numClusters.combi
  )
}

iris4 <- as.matrix(iris[, 1:4])
cat("[", paste(c(
  one("faithful", as.matrix(faithful), 4, "VVV"),
  one("faithful", as.matrix(faithful), 6, "EEI"),
  one("iris", iris4, 5, "VEV"),
  one("iris", iris4, 8, "EEE")
), collapse = ",\n"), "]\n")
