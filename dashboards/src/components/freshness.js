(function () {
  var line = document.querySelector('.fresh[data-until]');
  if (!line) return;
  function look() {
    if (Date.now() < Date.parse(line.getAttribute('data-until'))) return;
    line.classList.add('stale');
    line.querySelector('.word').textContent = 'Stale';
    line.querySelector('.state path, .state circle').parentNode.innerHTML = '<path d="M6 1 11.5 11H.5Z"/>';
    line.querySelector('.advice').hidden = false;
    clearInterval(again);
  }
  var again = setInterval(look, 60000);
  look();
})();
